"""The trimer of silicon in graphene: what its motion says, and what it cannot say."""

import numpy as np
import pytest

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.execution import SerialExecutor
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.streaming import InMemory
from hpcstem.potentials.study import fit
from hpcstem.potentials.trajectory import Trajectory
from hpcstem.structure.linking import link

OFFSET_FRAMES = (16, 19, 22, 35, 63)


@pytest.fixture(scope="module")
def trimer(shared_data):
    """Three silicon atoms and the six carbon atoms around them in 39 frames, some of them one after the other."""
    file = shared_data / "stem" / "graphene-si" / "Si3C6_trimer_movie.npz"
    if not file.exists():
        pytest.skip(f"no {file}")
    with np.load(file, allow_pickle=False) as movie:
        numbers, pixel_A = movie["frame_index"], float(movie["pixel_size_angstrom"])
        kept = ~np.isin(numbers, OFFSET_FRAMES)
        xy_px = np.concatenate([movie["si_xy"], movie["c_xy"]], axis=1)[kept]
        numbers = numbers[kept]
    n_frames, n_atoms = xy_px.shape[:2]
    # The trimer drifts as a whole and its frames are not all there: its own centre is the origin.
    xy_px = xy_px - xy_px.mean(axis=1, keepdims=True) + 128
    ones = np.ones(n_frames * n_atoms)
    return AtomTable(
        movie=np.full(n_frames * n_atoms, "trimer"),
        frame=np.repeat(numbers, n_atoms),
        x_px=xy_px[..., 0].ravel(),
        y_px=xy_px[..., 1].ravel(),
        x_A=xy_px[..., 0].ravel() * pixel_A,
        y_A=xy_px[..., 1].ravel() * pixel_A,
        species=np.tile(["Si"] * 3 + ["C"] * 6, n_frames),
        probability=ones,
        detection=ones,
        sigma_A=0.1 * ones,
        track=np.full(n_frames * n_atoms, NO_TRACK),
    )


@pytest.fixture(scope="module")
def linked(trimer):
    # Where frames are left out, up to six in a row.
    table = link(trimer, gate_A=0.65, max_gap=6, drift_A=np.zeros((int(trimer.frame.max()) + 1, 2)))
    return table[np.lexsort((table.track, table.frame))]


@pytest.mark.real
def test_the_trimer_is_linked(linked):
    silicon = linked[linked.species == "Si"]
    lengths = np.unique(silicon.track, return_counts=True)[1]
    # The trimer turns between frames that are far apart in time: three stretches, in which no link is lost.
    assert np.sort(lengths)[::-1].tolist() == [23, 23, 23, 12, 12, 12, 4, 4, 4]


@pytest.mark.real
def test_its_forces_are_not_identifiable_and_that_is_said(linked):
    frames = np.unique(linked.frame)
    trajectory = Trajectory(
        frame=frames,
        start=np.searchsorted(linked.frame, np.append(frames, frames[-1] + 1)),
        positions_A=linked.positions_A,
        species=(linked.species == "Si").astype(int),
        track=linked.track,
        weight=np.ones(len(linked)),
        symbols=("C", "Si"),
    )
    settings = FitSettings(interval_s=1.0, cutoff_A=5.0, low_A=1.0, functions=16, blocks=8)
    with SerialExecutor() as executor:
        study = fit(executor.run, InMemory(trajectory), settings)
    assert not study.verdict.identifiable
    assert study.sentences()[0].startswith("not identifiable")
    # Successive steps undo each other: scatter about fixed places, and nothing else.
    assert study.motion.autocorrelation[:, 1] == pytest.approx(-0.5, abs=0.15)
    assert any("localisation noise explains all of the motion" in line for line in study.sentences())
    # The pairs that were seen are those of the trimer: silicon 2.24 Å apart.
    distances = trajectory_distances(trajectory)
    assert np.median(distances) == pytest.approx(2.243, abs=0.15)


def trajectory_distances(trajectory):
    """Si–Si distances [Å] over all frames."""
    found = []
    for t in range(len(trajectory)):
        rows = trajectory.rows(t)
        silicon_A = trajectory.positions_A[rows][trajectory.species[rows] == 1]
        first, second = np.triu_indices(len(silicon_A), 1)
        found.append(np.linalg.norm(silicon_A[first] - silicon_A[second], axis=1))
    return np.concatenate(found)
