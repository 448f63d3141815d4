"""Defects found in a movie and followed through it, against what was simulated."""

from pathlib import Path

import numpy as np
import pytest

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.kinetics.observation import Observation, ObserveConfig, observe, read_observation, write_observation
from hpcstem.kinetics.sightings import sightings
from hpcstem.kinetics.simulated_defects import CLASSES, DefectMovie, simulate_defects

MATRIX = np.array([[0.7, 0.2, 0.1], [0.15, 0.7, 0.15], [0.1, 0.3, 0.6]])
FIELD_A = 60.0


def _observed(recipe: DefectMovie, seed: int, config: ObserveConfig | None = None) -> Observation:
    movie = simulate_defects("m", MATRIX, recipe, np.random.SeedSequence(seed))
    return observe(movie, config or ObserveConfig(), (recipe.field_A, recipe.field_A))


@pytest.fixture(scope="module")
def found() -> Observation:
    return _observed(DefectMovie(25, FIELD_A, 4, 0.15, 0.1, 0.05, (0.1, -0.08)), 1)


def test_every_sighting_is_of_a_simulated_class(found: Observation) -> None:
    assert {sighting.kind for sighting in found.seen} == set(CLASSES)
    names = [{s.environment.graph_name for s in found.seen if s.kind == kind} for kind in CLASSES]
    assert [len(kinds) for kinds in names] == [1, 1, 1]


def test_defects_that_stay_are_one_track_without_drift() -> None:
    recipe = DefectMovie(20, FIELD_A, 3, 0.0, 0.15, 0.05, (0.15, -0.1))
    found = _observed(recipe, 2)
    tracks = [track for track in found.tracks if len(track.frame) > 2]
    assert len(tracks) <= 3
    assert sum(len(track.frame) for track in tracks) == len(found.seen)
    for track in tracks:
        assert track.positions_A.std(axis=0).max() < 0.08


def test_hops_are_lattice_vectors(found: Observation) -> None:
    steps_A = np.concatenate([np.diff(track.positions_A, axis=0)[np.diff(track.frame) == 1] for track in found.tracks])
    lengths_A = np.linalg.norm(steps_A, axis=1)
    hopped = lengths_A > 1.0
    assert 0.05 < hopped.mean() < 0.25
    assert np.abs(lengths_A[hopped] - 2.46).max() < 0.35
    assert lengths_A[~hopped].max() < 0.4


def test_classes_by_graph_are_as_many_as_by_kind(found: Observation) -> None:
    recipe = DefectMovie(25, FIELD_A, 4, 0.15, 0.1, 0.05, (0.1, -0.08))
    by_graph = _observed(recipe, 1, ObserveConfig(classes_by="graph"))
    for one, other in zip(found.tracks, by_graph.tracks, strict=True):
        assert one.frame.tolist() == other.frame.tolist()
        assert len(set(zip(one.label.tolist(), other.label.tolist(), strict=True))) == len(set(one.label.tolist()))
    assert {label.split("-")[0] for track in by_graph.tracks for label in track.label} == {"Si1C4", "C14", "C16"}


def test_observations_read_back(tmp_path: Path, found: Observation) -> None:
    write_observation(tmp_path / "m.npz", found)
    back = read_observation(tmp_path / "m.npz")
    for one, other in zip(found.tracks, back.tracks, strict=True):
        assert (one.movie, one.track, one.label.tolist()) == (other.movie, other.track, other.label.tolist())
        assert np.array_equal(one.positions_A, other.positions_A)
    for one, other in zip(found.seen, back.seen, strict=True):
        assert (one.movie, one.frame, one.kind) == (other.movie, other.frame, other.kind)
        assert one.environment.canonical.code == other.environment.canonical.code
        assert np.array_equal(one.environment.positions_A, other.environment.positions_A)


def test_empty_movies_and_damaged_files(tmp_path: Path) -> None:
    nothing = observe(AtomTable.empty(), ObserveConfig())
    write_observation(tmp_path / "empty.npz", nothing)
    assert read_observation(tmp_path / "empty.npz") == nothing or read_observation(tmp_path / "empty.npz").seen == ()
    (tmp_path / "bad.npz").write_bytes(b"PK not a file")
    for name in ("bad.npz", "absent.npz"):
        with pytest.raises(HpcstemError, match="cannot read"):
            read_observation(tmp_path / name)


def test_margin_leaves_out_all_classes_alike() -> None:
    recipe = DefectMovie(12, FIELD_A, 4, 0.3, 0.0, 0.03, (1.6, 0.0))
    movie = simulate_defects("m", MATRIX, recipe, np.random.SeedSequence(3))
    free, kept = (sightings(movie, 1, margin_A, (FIELD_A, FIELD_A)) for margin_A in (0.0, 17.0))
    inside = [np.minimum(s.centre_A, FIELD_A - s.centre_A).min() > 20.5 for s in free]
    assert {(s.frame, *s.centre_A) for s, deep in zip(free, inside, strict=True) if deep} <= {
        (s.frame, *s.centre_A) for s in kept
    }
    assert min(np.minimum(s.centre_A, FIELD_A - s.centre_A).min() for s in kept) > 17.0
    assert len(kept) < len(free)


@pytest.mark.parametrize(
    ("matrix", "field_A", "about"), [(np.eye(2), FIELD_A, "a row for each"), (MATRIX, 8.0, "more than")]
)
def test_movies_that_cannot_be_simulated(matrix: np.ndarray, field_A: float, about: str) -> None:
    with pytest.raises(HpcstemError, match=about):
        simulate_defects("m", matrix, DefectMovie(3, field_A, 2, 0.1, 0.0, 0.05), np.random.SeedSequence(0))
