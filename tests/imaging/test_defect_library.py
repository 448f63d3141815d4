"""Structures from elsewhere: they come out as they went in, turned and strained, and fill the field where periodic."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from hpcstem.errors import StructureError
from hpcstem.imaging.defect_library import library_sheet, load_library
from hpcstem.imaging.masks import CLASSES
from hpcstem.imaging.training import TrainingRecipe, training_sample, training_samples
from hpcstem.structure.exchange import write_xyz

# A chain of unlike spacings, on which any turn, mirroring or loss shows.
MOLECULE = ase.Atoms("SiCCCH", [[0, 0, 0], [1.9, 0, 0], [3.3, 0.3, 0], [4.9, 0, 0.1], [5.9, 0, 0]])


@pytest.fixture
def write(tmp_path):
    def written(*structures, name="library.xyz"):
        write_xyz(tmp_path / name, list(structures), {})
        return tmp_path / name

    return written


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def sheet():
    atoms = ase.build.graphene(size=(3, 4, 1), vacuum=5.0)
    atoms.pbc = (True, True, False)
    return atoms


def test_a_finite_structure_keeps_its_distances(write, rng):
    library = load_library((write(MOLECULE),))
    for _ in range(5):
        positions_A, species = library_sheet(library, 40.0, 40.0, 0.0, rng)
        assert sorted(species) == ["C", "C", "C", "Si"]
        np.testing.assert_allclose(np.sort(pdist(positions_A)), np.sort(pdist(MOLECULE.positions[:4, :2])), atol=1e-9)


def test_a_periodic_structure_fills_the_field(write, rng):
    library = load_library((write(sheet()),))
    for _ in range(5):
        positions_A, _ = library_sheet(library, 20.0, 30.0, 0.0, rng)
        # One atom per 2.62 Å² over the field and the margin of 3 Å around it.
        assert len(positions_A) == pytest.approx(26 * 36 / (1.42**2 * 3 * np.sqrt(3) / 4), rel=0.06)
        distance = np.sort(np.linalg.norm(positions_A[:, None] - positions_A, axis=2), axis=1)[:, 1]
        # At a corner of the margin the neighbours of an atom may all be outside.
        assert np.isclose(distance, 2.46 / np.sqrt(3)).mean() > 0.98
        assert distance.min() > 1.42


def test_strain_reaches_what_is_asked_for_and_no_more(write, rng):
    library = load_library((write(MOLECULE),))
    lengths = [pdist(library_sheet(library, 40.0, 40.0, 0.05, rng)[0])[:1] for _ in range(200)]
    stretch = np.array(lengths) / pdist(MOLECULE.positions[:4, :2])[0]
    assert 0.9 < stretch.min() < 0.97
    assert 1.03 < stretch.max() < 1.1


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (ase.Atoms("CN", [[0, 0, 0], [1.4, 0, 0]]), "got N; wanted atoms of C, Si and H"),
        (ase.Atoms("H", [[0, 0, 0]]), "got no atoms"),
    ],
)
def test_what_has_no_class_is_refused(write, structure, message):
    with pytest.raises(StructureError, match=message):
        load_library((write(structure),))


def test_a_sheet_that_stands_upright_is_refused(write):
    atoms = sheet()
    atoms.rotate(90, "x", rotate_cell=True)
    with pytest.raises(StructureError, match="periodic in the plane"):
        load_library((write(atoms),))


def test_training_images_show_the_structures(write):
    path = write(MOLECULE)
    recipe = TrainingRecipe(n_pixels=160, structures=(path,), structures_share=1.0, contamination_probability=0.0)
    for sample in training_samples(recipe, 4, np.random.SeedSequence(2)):
        assert sorted(sample.species) == ["C", "C", "C", "Si"]
        x, y = sample.positions_px[list(sample.species).index("Si")]
        assert sample.mask[round(y), round(x)] == CLASSES.index("Si")
    half = recipe.model_copy(update={"structures_share": 0.5})
    sizes = [len(sample.species) for sample in training_samples(half, 20, np.random.SeedSequence(3))]
    assert 3 < sum(size == 4 for size in sizes) < 17


def test_displacements_are_as_large_as_asked_for():
    """Each atom of a perfect sheet misses its site by so much."""
    still = TrainingRecipe(n_pixels=128, contamination_probability=0.0)
    moved = still.model_copy(update={"displacement_A": (0.1, 0.1)})
    seed = np.random.SeedSequence(11)
    before, after = (training_sample(recipe, seed).positions_px * 0.16 for recipe in (still, moved))
    difference = (after - before) - (after - before).mean(axis=0)
    assert len(before) == len(after) > 100
    # The strain and scan distortion are drawn after, so that part of the difference is smooth.
    centred = before - before.mean(axis=0)
    smooth = centred @ np.linalg.lstsq(centred, difference, rcond=None)[0]
    assert (difference - smooth).std() == pytest.approx(0.1, rel=0.1)
