"""Whether a movie is of the kind that the ensemble was trained on."""

import json

import numpy as np
import pytest
from simulated import PROBE, acquisition, frames_and_truth

from hpcstem.errors import ModelError
from hpcstem.frames import open_movie
from hpcstem.imaging import acquire
from hpcstem.imaging.training import TrainingRecipe
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.ensemble import find_ensemble
from hpcstem.segmentation.frame_statistics import NAMES, patches
from hpcstem.segmentation.inference import predict
from hpcstem.segmentation.reference import TOO_SMALL, examine, frame_likeness, likeness, load_reference

PIXEL_A = 0.16


@pytest.fixture(scope="module")
def reference(ensemble):
    return load_reference(find_ensemble("graphene-si"), ensemble)


@pytest.fixture
def compared(ensemble, reference):
    def of(frame, pixel_size_A=PIXEL_A):
        frame = np.asarray(frame, np.float32)
        return likeness([(frame, pixel_size_A, predict(frame, pixel_size_A, ensemble))], ensemble.card, reference)

    return of


def square_lattice(distance_A, species, shape=(160, 160)):
    """A frame of a crystal that is not graphene."""
    grid = np.arange(-3.0, shape[0] * PIXEL_A + 3, distance_A)
    positions_A = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    symbols = np.full(len(positions_A), species)
    return acquire(positions_A, symbols, shape, PIXEL_A, PROBE, acquisition(1000), np.random.default_rng(1))[0]


@pytest.mark.parametrize("electrons_per_carbon", [100, 1000, 4000])
def test_simulated_graphene_is_known(compared, electrons_per_carbon):
    frames, _ = frames_and_truth(1, (180, 210), 0.12, electrons_per_carbon, seed=3)
    found = compared(frames[0], 0.12)
    print(f"{electrons_per_carbon} e/C: score {found.score:.2f}")
    assert not found.out_of_distribution


@pytest.mark.parametrize(("distance_A", "species"), [(1.8, "Si"), (2.7, "Mo"), (2.0, "C")])
def test_another_crystal_is_not(compared, distance_A, species):
    found = compared(square_lattice(distance_A, species))
    print(f"{species} every {distance_A} Å: score {found.score:.2f}, {found.reasons}")
    assert found.out_of_distribution
    assert found.reasons[0][0] in NAMES
    assert abs(found.reasons[0][1]) > 3


def test_a_wrong_pixel_size_is_not(compared):
    frames, _ = frames_and_truth(1, (200, 200), 0.1, 1000, seed=4)
    assert not compared(frames[0], 0.1).out_of_distribution
    assert compared(frames[0], 0.16).out_of_distribution


def test_empty_noise_is_not(compared, rng):
    assert compared(rng.poisson(20.0, (128, 128))).out_of_distribution


def test_a_small_field_has_no_score(ensemble, reference, compared, rng):
    noise = rng.poisson(20.0, (200, 86)).astype(np.float32)  # 13.8 Å wide
    for found in (compared(noise), frame_likeness(noise, PIXEL_A, ensemble, reference)):
        assert (found.score, found.out_of_distribution, found.because) == (None, False, TOO_SMALL)
    assert frame_likeness(noise, 14 / 86, ensemble, reference).out_of_distribution


def test_gain_and_offset_do_not_matter(compared):
    frame = frames_and_truth(1, (128, 128), PIXEL_A, 1000, seed=5)[0][0]
    assert compared(frame).score == pytest.approx(compared(37 * frame + 1000).score, rel=1e-2)


def test_made_of_the_ensembles_own_recipe(small_folder):
    """Twice the same, kept beside the ensemble, refused beside another."""
    config = {"recipe": TrainingRecipe(n_pixels=64).model_dump(mode="json"), "seed": 3}
    value = json.loads((small_folder / "ensemble.json").read_text())
    (small_folder / "ensemble.json").write_text(json.dumps({**value, "training": {"config": config}}))
    before = Ensemble.load(small_folder)
    assert load_reference(small_folder, before) is None
    seen = []
    ensemble, first = examine(small_folder, 30, 10, 5, seen.append)
    assert seen == list(range(1, 46))
    assert first.n_pixels == 64
    assert ensemble.card == before.card.model_copy(update={"confidence": ensemble.card.confidence})
    assert ensemble.card.confidence.n_images == 45
    assert load_reference(small_folder, ensemble) == first
    again, second = examine(small_folder, 30, 10, 5)
    assert (again.digest, second) == (ensemble.digest, first)
    with pytest.raises(ModelError, match="another ensemble"):
        load_reference(small_folder, before)
    (small_folder / "reference.json").write_text("{}")
    with pytest.raises(ModelError, match="hpcstem reference"):
        load_reference(small_folder, ensemble)


def test_without_a_recipe_there_is_none(small_folder):
    with pytest.raises(ModelError, match="recipe"):
        examine(small_folder, 2, 2)


def test_patches_cover_the_frame_once():
    count = np.zeros((300, 130), int)
    for part in patches(count.shape, 128, 16):
        count[part] += 1
    assert (count == 1).all()
    assert len(patches((2000, 2000), 128, 16)) == 16


@pytest.mark.real
def test_real_graphene_is_known_and_molybdenum_disulfide_is_not(shared_data, compared):
    folder = shared_data / "stem"
    graphene = [("G-GrainBoundary-4nm", 0.078125), ("G-Si-2nm", 0.078125), ("G-trimSi", 0.039)]
    for name, pixel_size_A in graphene:
        frame = open_movie(folder / "graphene-si" / f"{name}.hdf5", pixel_size_A=pixel_size_A).read(0, 1)[0]
        found = compared(frame, pixel_size_A)
        print(f"{name}: score {found.score:.2f}")
        assert not found.out_of_distribution
    for name, field_A in (("MoS2_stem_Exp-000-2", 90.0), ("MoS2_stem_Exp-001-5", 70.0)):
        frame = np.load(folder / "mos2" / f"{name}.npy")
        found = compared(frame, field_A / frame.shape[1])
        print(f"{name}: score {found.score:.2f}, {found.reasons}")
        assert found.out_of_distribution
