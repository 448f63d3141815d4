"""Library of defects: deduplicated by bond graph and geometry, with counts, images and energies."""

import ase
import numpy as np
import pytest
from sheets_with_defects import DEFECTS, SIDE_A, frame_of, sheet_with

from hpcstem.errors import HpcstemError
from hpcstem.files import read_json
from hpcstem.kinetics.environment import Environment
from hpcstem.kinetics.images import PIXEL_SIZE_A, with_images
from hpcstem.kinetics.library import BuildLibrary, inner_pixels, with_energies
from hpcstem.kinetics.results import write_library
from hpcstem.kinetics.sightings import Sighting, sightings
from hpcstem.structure.exchange import read_xyz

PIXEL_A = 0.15


def _movie(kind: str, n: int, movie: str) -> list[Sighting]:
    """Sightings of one defect on sheets turned by random angles."""
    rng = np.random.default_rng(len(movie) + n)
    found = []
    for frame in range(n):
        sheet = sheet_with(DEFECTS[kind], rng.uniform(0, np.pi))
        found += sightings(frame_of(sheet, frame, 0.04, n, movie), 1, 0.0, (SIDE_A, SIDE_A))
    return found


@pytest.fixture(scope="module")
def seen() -> list[Sighting]:
    return [s for k, kind in enumerate(DEFECTS) for s in _movie(kind, 2 + k, f"movie-{k}")]


def test_every_defect_is_one_entry_with_its_count(seen: list[Sighting]) -> None:
    library = BuildLibrary(0.4).finish(tuple(seen))
    assert {entry.kind: entry.count for entry in library} == {kind: 2 + k for k, kind in enumerate(DEFECTS)}
    assert [entry.count for entry in library] == sorted((entry.count for entry in library), reverse=True)
    assert all(entry.spread_A < 0.1 for entry in library)
    assert library[0].seen == tuple((f"movie-{len(DEFECTS) - 1}", k) for k in range(len(DEFECTS) + 1))


def test_library_does_not_depend_on_how_movies_were_divided(seen: list[Sighting]) -> None:
    build = BuildLibrary(0.12)
    whole = build.finish(build.process(seen))
    for cut in (1, 7, len(seen)):
        parts = build.finish(build.merge(build.process(seen[:cut]), build.process(seen[cut:])))
        assert [(e.name, e.seen, e.spread_A) for e in parts] == [(e.name, e.seen, e.spread_A) for e in whole]


def test_one_graph_in_two_geometries_is_two_entries(seen: list[Sighting]) -> None:
    plain = seen[0]
    stretched = Environment(
        plain.environment.positions_A * [1.3, 1.0], plain.environment.species, plain.environment.core,
        plain.environment.edges,
    )  # fmt: skip
    other = Sighting("x", 0, plain.kind, plain.centre_A, stretched)
    library = BuildLibrary(0.3).finish((plain, other, other))
    assert [entry.name[-2:] for entry in library] == ["-1", "-2"]
    assert [entry.count for entry in library] == [2, 1]
    assert len(BuildLibrary(2.0).finish((plain, other))) == 1


def _image(table, species_weight: dict[str, float], side_A: float) -> np.ndarray:
    axis = np.arange(int(side_A / PIXEL_A)) * PIXEL_A
    image = np.zeros((len(axis), len(axis)))
    for x_A, y_A, symbol in zip(table.x_A, table.y_A, table.species, strict=True):
        spot = np.exp(-((axis - x_A) ** 2) / 0.3), np.exp(-((axis - y_A) ** 2) / 0.3)
        image += species_weight[symbol] * np.outer(spot[1], spot[0])
    return image


def test_mean_image_is_turned_as_its_atoms() -> None:
    rng = np.random.default_rng(5)
    found, frames = [], []
    for frame in range(5):
        table = frame_of(sheet_with(DEFECTS["Si on four neighbours"], rng.uniform(0, np.pi)), frame, 0.03)
        found += sightings(table, 1, 0.0, (SIDE_A, SIDE_A))
        frames.append(_image(table, {"C": 1.0, "Si": 4.0}, SIDE_A))
    with_image = with_images(found, lambda k: frames[k], PIXEL_A, 5.0)
    (entry,) = BuildLibrary(0.4).finish(tuple(with_image))
    assert entry.image is not None
    assert entry.image.shape == (inner_pixels(with_image[0].image.shape[0]),) * 2
    assert len(entry.image) * PIXEL_SIZE_A >= 10.0 - PIXEL_SIZE_A

    def at(points_A: np.ndarray) -> np.ndarray:
        pixel = np.rint(points_A / PIXEL_SIZE_A + (len(entry.image) - 1) / 2.0).astype(int)
        return entry.image[pixel[:, 1], pixel[:, 0]]

    environment = entry.environment
    inside = np.abs(environment.positions_A).max(axis=1) < 4.0
    carbon = at(environment.positions_A[inside & (environment.species == "C")])
    turned = at(environment.positions_A[inside & (environment.species == "C")] @ [[0.87, 0.5], [-0.5, 0.87]])
    assert carbon.mean() > turned.mean() + 0.1
    assert at(environment.positions_A[environment.species == "Si"])[0] > 0.98 * entry.image.max()


def test_constant_frames_have_no_images(seen: list[Sighting]) -> None:
    with pytest.raises(HpcstemError, match="one value throughout"):
        with_images(seen[:1], lambda _: np.ones((50, 50)), PIXEL_A, 5.0)


def test_energies_come_from_cells_with_that_defect_alone(seen: list[Sighting]) -> None:
    library = BuildLibrary(0.4).finish(tuple(seen))
    cells = []
    for name, kind, energy_eV in (("a", "Si on three neighbours", -10.0), ("b", "Si on three neighbours", -12.0)):
        sheet = sheet_with(DEFECTS[kind])
        atoms = ase.Atoms(sheet.species.tolist(), np.pad(sheet.positions_A, ((0, 0), (0, 1))))
        cells.append((name, atoms, energy_eV - 2.0 * (len(atoms) - 1) - 3.0))
    plain = sheet_with(None)
    cells.append(("plain", ase.Atoms("C" * len(plain), np.pad(plain.positions_A, ((0, 0), (0, 1)))), -1e6))
    found = with_energies(library, cells, {"C": -2.0, "Si": -3.0}, 1)
    energies = {entry.kind: (entry.energy_eV, entry.energy_source) for entry in found}
    assert energies.pop("Si on three neighbours") == (pytest.approx(-12.0), "b")
    assert set(energies.values()) == {(None, "")}
    with pytest.raises(HpcstemError, match="none for Si"):
        with_energies(library, cells, {"C": -2.0}, 1)


def test_export_reads_back(tmp_path, seen: list[Sighting]) -> None:
    library = BuildLibrary(0.4).finish(tuple(seen))
    write_library(tmp_path, library, {"study": "test"})
    entries = read_json(tmp_path / "library.json")["entries"]
    structures, provenance = read_xyz(tmp_path / "structures.xyz")
    assert provenance == {"study": "test"}
    for entry, row, atoms in zip(library, entries, structures, strict=True):
        assert (row["name"], row["count"]) == (entry.name, entry.count) == (atoms.info["name"], atoms.info["count"])
        assert np.allclose(atoms.positions[:, :2], entry.environment.positions_A, atol=1e-6)
        assert atoms.get_chemical_symbols() == entry.environment.species.tolist()
    assert not (tmp_path / "images.npz").exists()
