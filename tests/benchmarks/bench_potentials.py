"""Speed and accuracy of the potentials, with peers in the same run: `python bench_potentials.py [SECTION …]`.

Sections: rdf equations link toy noise indirect bands ranks memory sfi. Peers that are not installed are left out,
with a line that says so. Times are CPU seconds of one thread, the least of several runs; only ratios within one
run mean anything.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

TESTS = Path(__file__).parents[1] / "potentials"
sys.path.insert(0, str(TESTS))


def say(section, **values):
    print(json.dumps({"section": section, **values}, default=float), flush=True)


def least_s(function, repeats=20):
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def peer(section, name):
    found = importlib.util.find_spec(name) is not None
    if not found:
        say(section, peer=name, left_out="not installed")
    return found


def graphene(n_A=72.4, seed=7):
    from known_sheets import honeycomb_A

    positions_A = honeycomb_A(n_A, 0.05, np.random.default_rng(seed))
    positions_A = positions_A[np.lexsort((positions_A[:, 0], np.round(positions_A[:, 1])))]
    return positions_A, (np.random.default_rng(8).random(len(positions_A)) < 0.01).astype(int)


def bench_rdf():
    for size_A in (72.4, 510.0):
        bench_rdf_of(size_A)


def bench_rdf_of(size_A):
    from scipy.spatial import cKDTree

    from hpcstem.potentials import pair_histogram

    positions_A, species = graphene(size_A)
    n_bins, cutoff_A, repeats = 400, 8.0, 20 if size_A < 100 else 5
    points = np.column_stack([positions_A, np.zeros(len(positions_A))])
    box_A = np.ptp(points, axis=0) + 50.0
    times_s = {"hpcstem": least_s(lambda: pair_histogram(positions_A, species, 2, cutoff_A, n_bins), repeats)}
    times_s["scipy"] = least_s(lambda: cKDTree(positions_A).query_pairs(cutoff_A, output_type="ndarray"), repeats)
    if peer("rdf", "vesin"):
        import vesin

        listed = vesin.NeighborList(cutoff=cutoff_A, full_list=False)
        settings = {"points": points, "box": np.zeros((3, 3)), "periodic": False, "quantities": "d"}
        times_s["vesin"] = least_s(lambda: listed.compute(**settings), repeats)
    if peer("rdf", "freud"):
        import freud

        freud.parallel.set_num_threads(1)
        box = freud.box.Box(box_A[0], box_A[1], is2D=True)
        centred = (points - points.mean(axis=0)).astype(np.float32)
        counter = freud.density.RDF(bins=n_bins, r_max=cutoff_A)
        times_s["freud"] = least_s(lambda: counter.compute((box, centred), reset=True), repeats)
    if peer("rdf", "matscipy"):
        from matscipy.neighbours import neighbour_list

        cell = np.diag(box_A)
        times_s["matscipy"] = least_s(
            lambda: neighbour_list("d", positions=points, cell=cell, pbc=[0, 0, 0], cutoff=cutoff_A), repeats
        )
    if peer("rdf", "MDAnalysis"):
        from MDAnalysis.lib.distances import self_capped_distance

        single = points.astype(np.float32)
        times_s["MDAnalysis"] = least_s(lambda: self_capped_distance(single, cutoff_A, method="nsgrid"), repeats)
    ours = times_s.pop("hpcstem")
    say("rdf", atoms=len(positions_A), ms=1e3 * ours, times_slower={k: t / ours for k, t in times_s.items()})


def bench_equations():
    from hpcstem.potentials.bases import GaussianBasis, SplineBasis
    from hpcstem.potentials.equations import ForceEquations
    from hpcstem.potentials.trajectory import Trajectory

    positions_A, species = graphene()
    rng = np.random.default_rng(1)
    frames_A = positions_A + 0.03 * rng.standard_normal((41, *positions_A.shape))
    trajectory = Trajectory.from_arrays(frames_A, species, ("C", "Si"))
    for basis in (SplineBasis(1.0, 8.0, 32), GaussianBasis(1.0, 8.0, 32)):
        for rule, lag in (("euler", 0), ("trapezoid", 0), ("trapezoid", 1)):
            equations = ForceEquations(basis, ("C", "Si"), 1.0, rule, lag)
            ms = 1e3 * least_s(lambda e=equations: e.process(trajectory), 7) / 40
            pairs = equations.process(trajectory[:3]).distances.sum() / equations.process(trajectory[:3]).n_intervals
            say("equations", basis=basis.name, rule=rule, lag=lag, atoms=len(positions_A), pairs=pairs, ms_per_frame=ms)


def sheet_that_shrinks(sigma_A, n_frames=200, missed=0.02):
    """A sheet of 2,000 atoms that scatter about their places and of which 400 vanish from the rim; and who is who."""
    from known_sheets import atom_table, honeycomb_A

    rng = np.random.default_rng(3)
    sites_A = honeycomb_A(73.0, 0.0, rng)
    n_lost = len(sites_A) // 5
    last = np.full(len(sites_A), n_frames)
    rim = np.argsort(-np.abs(sites_A - 36.5).max(axis=1))[:n_lost]
    last[rim] = np.linspace(1, n_frames, n_lost).astype(int)
    frames_A, identity = [], []
    for frame in range(n_frames):
        seen = (rng.random(len(sites_A)) > missed) & (last > frame)
        frames_A.append((sites_A + sigma_A * rng.standard_normal(sites_A.shape))[seen])
        identity.append(np.flatnonzero(seen))
    return atom_table(frames_A), np.concatenate(identity)


def precision_and_recall(table, track, identity, max_gap=1):
    """Of the links between successive sightings of an atom, at most `max_gap` frames apart."""

    def links(labels):
        order = np.lexsort((table.frame, labels))
        joined = (np.diff(labels[order]) == 0) & (np.diff(table.frame[order]) <= max_gap + 1)
        return order[:-1][joined] * len(table) + order[1:][joined]

    true, found = links(identity), links(track)
    right = len(np.intersect1d(true, found))
    return {"precision": right / len(found), "recall": right / len(true)}


def bench_link():
    from hpcstem.structure.linking import link

    gate_A, n_frames = 0.7, 200
    for sigma_A in (0.10, 0.25):
        table, identity = sheet_that_shrinks(sigma_A, n_frames)
        atoms = [int((table.frame == frame).sum()) for frame in (0, n_frames - 1)]
        ms = 1e3 * least_s(lambda t=table: link(t, gate_A), 3) / n_frames
        found = precision_and_recall(table, link(table, gate_A).track, identity)
        say("link", who="hpcstem", sigma_A=sigma_A, atoms=atoms, ms_per_frame=ms, **found)
        if not peer("link", "trackpy"):
            continue
        import pandas
        import trackpy

        trackpy.quiet()
        frame = pandas.DataFrame({"x": table.x_A, "y": table.y_A, "frame": table.frame, "row": np.arange(len(table))})
        start = time.process_time()
        linked = trackpy.link(frame, gate_A, memory=1)
        theirs_ms = 1e3 * (time.process_time() - start) / n_frames
        track = linked.sort_values("row").particle.to_numpy()
        found = precision_and_recall(table, track, identity)
        say("link", who="trackpy", sigma_A=sigma_A, ms_per_frame=theirs_ms, times_slower=theirs_ms / ms, **found)


def errors(potential, distances=None):
    from known_motion import TOY, error_of

    wells = [potential.well(k) for k in range(3)]
    return {
        "dU": [error_of(potential, k, distances) for k in range(3)],
        "depth": [None if w is None else w[1] / e for w, e in zip(wells, TOY.epsilon, strict=True)],
        "r_min_error_A": [
            None if w is None else w[0] - p.minimum_A for w, p in zip(wells, TOY.potentials, strict=True)
        ],
        "kT": potential.kT,
    }


def fitted(trajectory, interval, rule="trapezoid", lag=0, noise_A=0.0, basis=None):
    from known_motion import BASIS, MOBILITY, SYMBOLS, run

    from hpcstem.potentials.equations import ForceEquations
    from hpcstem.potentials.fitted import solve

    equations = ForceEquations(basis or BASIS, SYMBOLS, interval, rule, lag, MOBILITY)
    return solve(run(equations, trajectory), equations, noise_A)


def summarised(section, draws, **values):
    """Root mean square of dU, and the median of the rest, over draws."""
    dU = np.sqrt(np.mean(np.square([draw["dU"] for draw in draws]), axis=0))
    depth = np.nanmedian(np.array([draw["depth"] for draw in draws], float), axis=0)
    r_min = np.sqrt(np.nanmean(np.square(np.array([draw["r_min_error_A"] for draw in draws], float)), axis=0))
    within = np.mean(np.array([draw["dU"] for draw in draws]) <= [0.03, 0.03, 0.06], axis=0)
    kT = np.mean([draw["kT"] for draw in draws])
    say(section, draws=len(draws), dU_rms=list(dU), depth_median=list(depth), r_min_rms_A=list(r_min),
        share_within_target=list(within), kT=kT, **values)  # fmt: skip


def bench_toy():
    from known_motion import toy_trajectory

    from hpcstem.potentials.bases import GaussianBasis

    long = [toy_trajectory(6400, 1e-3, key=key) for key in (1, 2)]

    def draws(n_frames, *how, **settings):
        parts = [whole[first : first + n_frames] for whole in long for first in range(0, 6400, 800)]
        return [errors(fitted(part, 1e-3, *how, **settings)) for part in parts]

    for n_frames in (25, 100, 400, 800):
        summarised("toy", draws(n_frames, "euler"), frames=n_frames, interval=1e-3, rule="euler")
    summarised("toy", draws(800), frames=800, interval=1e-3, rule="trapezoid")
    gaussians = GaussianBasis(1.05, 4.5, 32)
    summarised("toy", draws(800, basis=gaussians), frames=800, interval=1e-3, rule="trapezoid", basis="gaussians")
    whole = [errors(fitted(trajectory, 1e-3)) for trajectory in long]
    summarised("toy", whole, frames=6400, interval=1e-3, rule="trapezoid")
    coarse = toy_trajectory(400, 0.01, key=1)
    for rule in ("euler", "trapezoid", "simpson"):
        say("toy", frames=400, interval=0.01, rule=rule, **errors(fitted(coarse, 0.01, rule)))


def bench_noise():
    from known_motion import toy_trajectory, with_noise

    clean = toy_trajectory(3200, 2e-3, key=1)
    for n_frames in (400, 3200):
        parts = [clean[k : k + n_frames] for k in range(0, 3200, n_frames)]
        for rule, lag in (("euler", 0), ("trapezoid", 1), ("simpson", 1)):
            draws = []
            for k, part in enumerate(parts):
                noisy = fitted(with_noise(part, 0.05, k), 2e-3, rule, lag, 0.05)
                draws.append(errors(noisy, fitted(part, 2e-3).distances))
            summarised("noise", draws, frames=n_frames, interval=2e-3, sigma_A=0.05, rule=rule, lag=lag)


def bench_indirect():
    from known_motion import BASIS, MOBILITY, SYMBOLS, run, toy_trajectory

    from hpcstem.potentials.equations import ForceEquations
    from hpcstem.potentials.indirect import indirect_inference

    equations = ForceEquations(BASIS, SYMBOLS, 0.02, mobility=MOBILITY)
    # Trajectories of their own, so that draws are independent.
    for n_frames, keys in ((100, range(11, 19)), (600, (1, 2))):
        draws = []
        for key in keys:
            trajectory = toy_trajectory(n_frames, 0.02, key=key)
            start = time.process_time()
            found = indirect_inference(lambda one, name, t=trajectory: run(one, t), equations, 1, n_steps=50)
            stated = [float(found.deviation(k, np.array([found.well(k)[0]]))[0]) for k in range(3)]
            draws.append(errors(found))
            cpu_s = time.process_time() - start
            say("indirect", frames=n_frames, key=key, **draws[-1], depth_deviation=stated, cpu_s=cpu_s)
        depths = np.array([draw["depth"] for draw in draws], float)
        summarised("indirect", draws, frames=n_frames, interval=0.02, depth_mean=list(depths.mean(axis=0)),
                   depth_error=list(depths.std(axis=0, ddof=1) / np.sqrt(len(draws))))  # fmt: skip
        plain = [errors(fitted(trajectory, 0.02, rule)) for rule in ("euler", "trapezoid", "simpson")]
        say(
            "indirect",
            frames=n_frames,
            without={r: e["depth"] for r, e in zip(("euler", "trapezoid", "simpson"), plain, strict=True)},
        )


def bench_bands():
    """Coverage of 95 % bands, with its standard error over trajectories that each begin anew.

    All distances of a pair share most of their error, so that one trajectory is hardly more than one draw.
    """
    from known_motion import BASIS, TOY, toy_trajectory

    r_A = np.linspace(1.2, 4.3, 80)
    for n_frames, n_draws in ((200, 64), (800, 40)):
        draws, inside, error, stated = [], [], [], []
        for key in range(n_draws):
            found = fitted(toy_trajectory.__wrapped__(n_frames, 1e-3, 100 + key), 1e-3)
            draws.append(errors(found))
            seen = np.stack([found.sampled(k, r_A) for k in range(3)])
            off = np.stack([found.energy(k, r_A) - truth.potential(r_A) for k, truth in enumerate(TOY.potentials)])
            deviation = np.stack([found.deviation(k, r_A) for k in range(3)])
            inside.append(np.average(np.abs(off) < 1.96 * deviation, axis=1, weights=seen))
            for values, squares in ((error, off**2), (stated, deviation**2)):
                values.append([np.average(squares, axis=1, weights=seen * (r_A > low_A)) for low_A in (0.0, 1.9)])
        summarised("bands", draws, frames=n_frames, interval=1e-3, rule="trapezoid")
        ratio = np.sqrt(np.mean(error, axis=0) / np.mean(stated, axis=0))
        spread = np.std(error, axis=0, ddof=1) / np.mean(error, axis=0) / np.sqrt(n_draws) / 2
        say("bands", frames=n_frames, draws=n_draws, functions=BASIS.n_functions,
            coverage=list(np.mean(inside, axis=0)),
            coverage_error=list(np.std(inside, axis=0, ddof=1) / np.sqrt(n_draws)),
            error_over_stated=ratio.tolist(), its_error=(ratio * spread).tolist())  # fmt: skip


def bench_ranks():
    """Weak scaling in wall time, beside the same work in processes that do not talk; and in CPU time.

    A rank that waits spins, so that its CPU time is that of the wait. The rank that is last does not wait: what it
    spends beyond its own work is the cost of going over ranks.
    """
    from hpcstem.execution import mpiexec_command

    job = str(Path(__file__).with_name("rank_work.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def started(n_ranks):
        command = [*mpiexec_command(n_ranks), sys.executable, job, str(40 * n_ranks)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def seconds(process):
        lines = process.communicate()[0].splitlines()
        return np.array([line.split()[1:] for line in lines if line.startswith("seconds")], float)

    for attempt in range(3):
        alone = seconds(started(1))[0]
        apart = [seconds(p)[0] for p in [started(1), started(1)]]
        together = seconds(started(2))
        work_s, beyond_s = together[:, 1].max(), together[:, 2].min()
        silent_s = max(one[0] for one in apart)
        say("ranks", attempt=attempt, one_s=alone[0], two_apart_s=silent_s, two_ranks_s=together[:, 0].max(),
            contention=silent_s / alone[0], wall_efficiency=silent_s / together[:, 0].max(),
            work_alone_cpu_s=alone[1], work_cpu_s=work_s, beyond_cpu_s=beyond_s,
            cpu_efficiency=work_s / (work_s + beyond_s))  # fmt: skip


def bench_memory(equivalent_GB=20.0):
    """A trajectory as large as this many GB of decoded tables, made on the fly, in one process."""
    job = str(Path(__file__).with_name("rank_work.py"))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, job, "memory", str(equivalent_GB), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(done.stdout, end="", flush=True)


def bench_sfi():
    """The closest peer on 192 atoms of one species and 200 frames; both with 32 functions of the distance."""
    for interval in (1e-3, 0.01):
        bench_sfi_at(interval)


def bench_sfi_at(interval):
    from known_motion import TOY, run

    from hpcstem.potentials.bases import SplineBasis
    from hpcstem.potentials.dynamics import ForceTable, Langevin
    from hpcstem.potentials.equations import ForceEquations
    from hpcstem.potentials.fitted import solve
    from hpcstem.potentials.indirect import indirect_inference

    seeds = np.random.SeedSequence(17).spawn(2)
    positions_A, species, box_A = TOY.honeycomb((8, 6), 1.42, 0.0, seeds[0])
    trajectory = TOY.simulate(positions_A, species, box_A, 200, interval, seeds[1])
    frames_A = trajectory.positions_A.reshape(200, -1, 2)
    equations = ForceEquations(SplineBasis(1.05, 4.5, 32), TOY.symbols, interval)
    truth = TOY.langevin(box_A)

    def force_error(slope):
        fit = Langevin(ForceTable.of([slope] * 3, 2, 4.5), 1.0, np.ones(2), box_A)
        pairs = [(fit.force(x_A, species), truth.force(x_A, species)) for x_A in frames_A[::10]]
        return np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs) / sum((b**2).sum() for _, b in pairs))

    def indirect():
        return indirect_inference(lambda one, name: run(one, trajectory), equations, 1, n_steps=50)

    run(equations, trajectory[:4], 2)
    for how, fit in (("trapezoid", lambda: solve(run(equations, trajectory), equations)), ("indirect", indirect)):
        start = time.process_time()
        found = fit()
        say("sfi", who=f"hpcstem, {how}", interval=interval, atoms=len(species), cpu_s=time.process_time() - start,
            relative_force_error=force_error(lambda r, f=found: f.slope(0, r)))  # fmt: skip
    if not peer("sfi", "SFI"):
        return
    for preset in ("auto", "clean"):
        start = time.process_time()
        slope = peer_slope(frames_A, box_A, interval, preset)
        cpu_s = time.process_time() - start
        # The sign depends on which way its unit vector points.
        error = min(force_error(slope), force_error(lambda r, s=slope: -s(r)))
        say("sfi", who="StochasticForceInference", preset=preset, interval=interval, cpu_s=cpu_s,
            relative_force_error=error)  # fmt: skip


def peer_slope(frames_A, box_A, interval, preset):
    """Slope of the pair potential by StochasticForceInference, with Gaussians for the force."""
    import jax.numpy as jnp
    from SFI import OverdampedLangevinInference, TrajectoryCollection
    from SFI.bases.pairs import radial_pair_basis

    centres_A = np.linspace(1.05, 4.5, 32)
    width_A = centres_A[1] - centres_A[0]

    def kernel(centre_A):
        return lambda r: jnp.where(r < 4.5, jnp.exp(-0.5 * ((r - centre_A) / width_A) ** 2), 0.0)

    kernels = [(kernel(c), f"{c:.2f}") for c in centres_A]
    pairs = radial_pair_basis(kernels, dim=2, box=list(map(float, box_A))).dispatch_pairs()
    inference = OverdampedLangevinInference(TrajectoryCollection.from_arrays(X=frames_A, dt=interval))
    inference.compute_diffusion_constant()
    inference.infer_force_linear(pairs, preset=preset)
    heights = np.asarray(inference.force_coefficients).ravel()
    return lambda r_A: np.exp(-0.5 * ((r_A[:, None] - centres_A) / width_A) ** 2) @ heights * (r_A < 4.5)


SECTIONS = {
    name[6:]: value
    for name, value in dict(globals()).items()
    if name.startswith("bench_") and name not in ("bench_rdf_of", "bench_sfi_at")
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or SECTIONS:
        SECTIONS[chosen]()
