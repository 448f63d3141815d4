import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_motion import run

from hpcstem.atoms import NO_TRACK
from hpcstem.errors import StructureError
from hpcstem.potentials.bases import SplineBasis
from hpcstem.potentials.equations import RULES, ForceEquations
from hpcstem.potentials.pairs import half_pairs, species_pairs
from hpcstem.potentials.trajectory import Trajectory

BASIS = SplineBasis(0.8, 4.0, 7)
SYMBOLS = ("C", "Si")
ROUNDING = 1e-6
"""Of products in single precision."""


def trajectory(rng, n_frames=6, box_A=None, gap=False, untracked=True):
    """Atoms that appear, vanish, change species and count differently."""
    n_atoms = 14
    home_A = rng.uniform(0, 9, (n_atoms, 2))
    frame, start, rows = [], [0], []
    for t in range(n_frames):
        seen = np.flatnonzero(rng.random(n_atoms) < 0.85)
        place_A = home_A[seen] + 0.1 * rng.standard_normal((len(seen), 2))
        species = ((seen % 3 == 0) ^ (rng.random(len(seen)) < 0.05)).astype(int)
        track = np.where(rng.random(len(seen)) < (0.1 if untracked else 0.0), NO_TRACK, seen)
        rows.append((place_A, species, track, rng.choice([0.0, 0.4, 1.0], len(seen))))
        start.append(start[-1] + len(seen))
        frame.append(t + (5 if gap and t >= n_frames // 2 else 0))
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return Trajectory(np.array(frame), np.array(start), *columns, SYMBOLS, box_A)


def slow_matrix(snapshot, n_unknowns, tether_A=None):
    """Force on each atom per unknown, pair by pair, with shape (n_atoms, 2, n_unknowns)."""
    matrix = np.zeros((len(snapshot.track), 2, n_unknowns))
    pairs = half_pairs(snapshot.positions_A, BASIS.cutoff_A, snapshot.box_A)
    index, n = {pair: k for k, pair in enumerate(species_pairs(2))}, BASIS.n_columns
    for i, j, vector_A, r_A in zip(pairs.first, pairs.second, pairs.vector_A, pairs.distance_A, strict=True):
        a, b = sorted((int(snapshot.species[i]), int(snapshot.species[j])))
        force = np.outer(vector_A / r_A, BASIS.slopes([r_A])[0])
        columns = slice(index[a, b] * n, (index[a, b] + 1) * n)
        matrix[i, :, columns] += force
        matrix[j, :, columns] -= force
    if tether_A is not None:
        for i, (track, species) in enumerate(zip(snapshot.track, snapshot.species, strict=True)):
            if track != NO_TRACK:
                matrix[i, :, 3 * n + species] = tether_A[track, species] - snapshot.positions_A[i]
    return matrix


def slow_sums(equations, batch):
    """Normal equations by their definition, atom by atom."""
    (before, after), n = equations.reach, equations.n_unknowns
    gram, design, moment, power, intervals = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n), 0.0, 0
    snapshots = [batch[t : t + 1] for t in range(len(batch))]
    tether_A = None
    if equations.tether:
        linked = batch.track != NO_TRACK
        keys = set(zip(batch.track[linked].tolist(), batch.species[linked].tolist(), strict=True))
        tether_A = {
            key: batch.positions_A[(batch.track == key[0]) & (batch.species == key[1])].mean(axis=0) for key in keys
        }
    matrices = [slow_matrix(snapshot, n, tether_A) for snapshot in snapshots]
    mobility = equations.mobility or (1.0, 1.0)
    for t in range(before, len(batch) - after):
        used = range(t - before, t + after + 1)
        if batch.frame[t + after] - batch.frame[t - before] != before + after:
            continue
        where = [
            {
                (k, a): i
                for i, (k, a) in enumerate(zip(shot.track.tolist(), shot.species.tolist(), strict=True))
                if k >= 0
            }
            for shot in (snapshots[u] for u in used)
        ]
        common = set.intersection(*(set(w) for w in where))
        theta = {key: min(snapshots[u].weight[w[key]] for u, w in zip(used, where, strict=True)) for key in common}
        total = sum(theta.values())
        if total == 0:
            continue
        intervals += 1
        for key in common:
            rows = [w[key] for w in where]
            mu, w = mobility[key[1]], theta[key] / total
            step_A = snapshots[t + after].positions_A[rows[-1]] - snapshots[t].positions_A[rows[before]]
            if batch.box_A is not None:
                step_A = step_A - np.array(batch.box_A) * np.round(step_A / np.array(batch.box_A))
            velocity = step_A / (after * equations.interval)
            z = matrices[t - before][rows[0]]
            f = sum(q * matrices[t + k][rows[before + k]] for k, q in enumerate(equations.quadrature))
            gram += w * mu * z.T @ z
            design += w * mu * z.T @ f
            moment += w * z.T @ velocity
            power += w * velocity @ velocity / mu
    return gram, design, moment, power, intervals


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rule=st.sampled_from(sorted(RULES)),
    lag=st.integers(0, 1),
    tether=st.booleans(),
    box_A=st.sampled_from([None, (9.0, 9.5)]),
    gap=st.booleans(),
    mobility=st.sampled_from([None, (1.0, 0.4)]),
)
def test_sums_equal_their_definition(seed, rule, lag, tether, box_A, gap, mobility):
    # In a box the mean place would have to be unwrapped by the slow version as well.
    tether = tether and box_A is None
    batch = trajectory(np.random.default_rng(seed), box_A=box_A, gap=gap)
    equations = ForceEquations(BASIS, SYMBOLS, 0.5, rule, lag, mobility, tether)
    sums = equations.process(batch)
    gram, design, moment, power, intervals = slow_sums(equations, batch)
    scale = max(np.abs(gram).max(), 1.0)
    np.testing.assert_allclose(sums.gram, gram, atol=ROUNDING * scale)
    np.testing.assert_allclose(sums.design, design, atol=ROUNDING * scale)
    np.testing.assert_allclose(sums.moment, moment, atol=ROUNDING * scale)
    assert sums.power == pytest.approx(power, abs=1e-12)
    assert sums.n_intervals == intervals
    assert sums.weight == pytest.approx(2 * intervals)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("lag", [0, 1])
def test_pieces_and_blocks_do_not_change_the_sums(rule, lag):
    batch = trajectory(np.random.default_rng(3), n_frames=23)
    equations = ForceEquations(BASIS, SYMBOLS, 0.5, rule, lag)
    whole = equations.process(batch)
    scale = np.abs(whole.gram).max()
    for n_blocks, piece in ((2, 64), (5, 3), (22, 1)):
        blocks = run(equations, batch, n_blocks, piece)
        np.testing.assert_allclose(blocks.total.gram, whole.gram, atol=ROUNDING * scale)
        np.testing.assert_allclose(blocks.total.design, whole.design, atol=ROUNDING * scale)
        np.testing.assert_allclose(blocks.total.moment, whole.moment, atol=ROUNDING * scale)
        np.testing.assert_array_equal(blocks.total.distances, whole.distances)
        assert blocks.total.n_intervals == whole.n_intervals
        assert len(blocks.parts) == n_blocks


def test_frames_count_equally_however_many_atoms_they_hold():
    rng = np.random.default_rng(4)
    few, many = trajectory(rng, 2), trajectory(rng, 2)
    equations = ForceEquations(BASIS, SYMBOLS, 0.5, "euler")
    for batch in (few, many):
        assert equations.process(batch).weight == pytest.approx(2.0)


def broken(**changes):
    good = trajectory(np.random.default_rng(5), 3, untracked=False)
    columns = {
        name: getattr(good, name).copy() for name in ("frame", "start", "positions_A", "species", "track", "weight")
    }
    for name, change in changes.items():
        columns[name] = change(columns[name])
    return Trajectory(**columns, symbols=SYMBOLS)


def put(index, value):
    def change(column):
        column[index] = value
        return column

    return change


@pytest.mark.parametrize(
    ("changes", "thing"),
    [
        ({"frame": lambda f: f[::-1].copy()}, "frames of the trajectory; got frame 1 after frame 2"),
        ({"frame": put(1, 0)}, "frames of the trajectory"),
        ({"positions_A": put((4, 0), np.nan)}, "positions in frame 0"),
        (
            {"positions_A": lambda p: np.concatenate([p[:1], p[:1], p[2:]])},
            "positions in frame 0; got two atoms in one place",
        ),
        ({"track": lambda t: np.concatenate([t[:1], t[:1], t[2:]])}, "tracks in frame 0"),
        ({"species": put(2, 7)}, "species in frame 0"),
        ({"weight": put(2, -1.0)}, "weights in frame 0"),
        ({"weight": lambda w: w[:-1]}, "columns of the trajectory"),
    ],
)
def test_a_bad_trajectory_names_the_thing(changes, thing):
    with pytest.raises(StructureError) as error:
        broken(**changes)
    assert str(error.value).startswith(thing)


@pytest.mark.parametrize(
    ("changes", "thing"),
    [
        ({"rule": "leapfrog"}, "rule"),
        ({"lag": 2}, "lag"),
        ({"interval": 0.0}, "interval"),
        ({"interval": np.nan}, "interval"),
        ({"mobility": (1.0,)}, "mobilities"),
        ({"mobility": (1.0, 0.0)}, "mobilities"),
    ],
)
def test_bad_settings_name_the_thing(changes, thing):
    with pytest.raises(StructureError, match=f"^{thing}"):
        ForceEquations(**{"basis": BASIS, "symbols": SYMBOLS, "interval": 1.0, **changes})


def test_other_species_are_refused():
    with pytest.raises(StructureError, match="species of the trajectory"):
        ForceEquations(BASIS, ("C", "N"), 1.0).process(trajectory(np.random.default_rng(6)))
