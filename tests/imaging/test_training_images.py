"""Training images: reproducible, and image, mask and positions speak of the same atoms."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from hpcstem.imaging.masks import CLASSES
from hpcstem.imaging.training import TrainingRecipe, training_sample, training_samples

RECIPE = TrainingRecipe(n_pixels=64)
CLEAR = TrainingRecipe(
    n_pixels=96,
    electrons_per_carbon=(3000, 6000),
    contamination_probability=0.0,
    background=(0.0, 0.5),
    readout=(0.0, 0.1),
    row_jitter_A=(0.0, 0.02),
)


@pytest.fixture(scope="module")
def clear_samples():
    return list(training_samples(CLEAR, 16, np.random.SeedSequence(1)))


def equal(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("image", "mask", "positions_px", "species")
    )


def test_a_sample_does_not_depend_on_how_many_there_are():
    three, eight = (list(training_samples(RECIPE, n, np.random.SeedSequence(5))) for n in (3, 8))
    assert all(equal(a, b) for a, b in zip(three, eight, strict=False))
    assert not equal(three[0], three[1])


def test_another_mapper_gives_the_same():
    def backwards(function, seeds):
        return reversed([function(seed) for seed in reversed(seeds)])

    here = training_samples(RECIPE, 3, np.random.SeedSequence(6))
    there = training_samples(RECIPE, 3, np.random.SeedSequence(6), mapper=backwards)
    assert all(equal(a, b) for a, b in zip(here, there, strict=True))


def test_shapes_and_types():
    sample = training_sample(RECIPE, np.random.SeedSequence(7))
    assert sample.image.shape == sample.mask.shape == (64, 64)
    assert (sample.image.dtype, sample.mask.dtype) == (np.float32, np.uint8)
    assert np.isfinite(sample.image).all()
    assert set(np.unique(sample.mask)) <= set(range(len(CLASSES)))
    assert sample.positions_px.shape == (len(sample.species), 2)


def test_mask_has_the_species_at_each_position(clear_samples):
    for sample in clear_samples:
        column, row = np.rint(sample.positions_px).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < 96) & (row < 96)
        expected = [CLASSES.index(symbol) for symbol in sample.species[inside]]
        np.testing.assert_array_equal(sample.mask[row[inside], column[inside]], expected)


def test_atoms_are_where_the_image_is_bright(clear_samples):
    """Of all displacements of the mask by up to two pixels, none at all fits the image best."""
    for sample in clear_samples:
        smooth = ndimage.gaussian_filter(sample.image, 1.0)
        smooth = np.minimum(smooth, np.percentile(smooth, 98))  # silicon would outweigh all carbon
        shown = (sample.mask > 0)[4:-4, 4:-4]
        overlap = {
            (dy, dx): np.corrcoef(shown.ravel(), smooth[4 + dy : 92 + dy, 4 + dx : 92 + dx].ravel())[0, 1]
            for dy in range(-2, 3)
            for dx in range(-2, 3)
        }
        assert max(overlap, key=overlap.get) == (0, 0)
        assert overlap[0, 0] > 0.5


def test_silicon_is_brighter_than_carbon(clear_samples):
    with_silicon = [s for s in clear_samples if (s.mask == 2).any()]
    assert with_silicon
    for sample in with_silicon:
        smooth = ndimage.gaussian_filter(sample.image, 1.0)
        assert smooth[sample.mask == 2].mean() > 1.5 * smooth[sample.mask == 1].mean()


def test_atoms_under_thick_contamination_are_left_out():
    recipe = RECIPE.model_copy(update={"contamination_probability": 1.0, "contamination": (8.0, 8.0)})
    clean = RECIPE.model_copy(update={"contamination_probability": 0.0})
    covered, bare = (
        sum(len(s.species) for s in training_samples(r, 12, np.random.SeedSequence(8))) for r in (recipe, clean)
    )
    assert 0.2 * bare < covered < 0.9 * bare


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_pixels": 60},
        {"electrons_per_carbon": (0.0, 100.0)},
        {"native_pixel_size_A": (0.3, 0.06)},
        {"readout": (-0.1, 0.1)},
        {"voltage": 60},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_refused_recipes(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainingRecipe(**wrong)
