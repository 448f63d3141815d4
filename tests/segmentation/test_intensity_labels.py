"""Labels by brightness: good enough to begin with, on simulated and on real frames."""

import numpy as np
import pytest

from hpcstem.errors import ModelError
from hpcstem.frames import open_movie
from hpcstem.imaging.training import TrainingRecipe, training_samples
from hpcstem.segmentation.intensity_labels import intensity_labels
from hpcstem.segmentation.labelled_frames import LabelledFrame, write_labelled_frames
from hpcstem.segmentation.score import Score, match, score
from hpcstem.segmentation.training_config import TrainingConfig
from hpcstem.segmentation.training_set import open_training_set, write_training_set

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'hpcstem[kinetics]'")

RECIPE = TrainingRecipe(
    n_pixels=256, electrons_per_carbon=(1000, 4000), contamination_probability=0.0, native_pixel_size_A=(0.1, 0.16)
)
REAL_PIXEL_A = 0.078125


def test_simulated_frames():
    totals = {}
    for sample in training_samples(RECIPE, 6, np.random.SeedSequence(4)):
        labels = intensity_labels(sample.image, RECIPE.pixel_size_A)
        found_A, true_A = labels.positions_px * RECIPE.pixel_size_A, sample.positions_px * RECIPE.pixel_size_A
        field_A = (256 * RECIPE.pixel_size_A,) * 2
        for symbol, one in score(found_A, labels.species, true_A, sample.species, field_A).items():
            totals[symbol] = totals.get(symbol, Score()) + one
    for symbol, total in totals.items():
        print(f"{symbol}: precision {total.precision:.3f}, recall {total.recall:.3f} of {total.n_true}")
    assert totals["C"].precision > 0.98
    assert totals["C"].recall > 0.95
    assert totals["Si"].n_true > 10
    assert totals["Si"].precision > 0.9
    assert totals["Si"].recall > 0.9


@pytest.mark.real
@pytest.mark.parametrize(("name", "least_f1", "n_silicon"), [("G-GrainBoundary-4nm", 0.88, 0), ("G-Si-2nm", 0.94, 1)])
def test_real_frames(shared_data, name, least_f1, n_silicon):
    folder = shared_data / "stem" / "graphene-si"
    frame = open_movie(folder / f"{name}.hdf5", pixel_size_A=REAL_PIXEL_A).read(0, 1)[0]
    authors_A = np.load(folder / f"{name}-coord.npy")[:, [1, 0]] * REAL_PIXEL_A
    labels = intensity_labels(frame, REAL_PIXEL_A)
    whatever = np.full(len(labels.species), "atom"), np.full(len(authors_A), "atom")
    field_A = (frame.shape[1] * REAL_PIXEL_A, frame.shape[0] * REAL_PIXEL_A)
    found = score(labels.positions_px * REAL_PIXEL_A, whatever[0], authors_A, whatever[1], field_A)["atom"]
    print(f"{name}: F1 {found.f1:.3f}, precision {found.precision:.3f}, recall {found.recall:.3f}")
    assert found.f1 > least_f1
    assert (labels.species == "Si").sum() == n_silicon


@pytest.mark.real
def test_silicon_of_a_real_movie(shared_data):
    movie = np.load(shared_data / "stem" / "graphene-si" / "Si3C6_trimer_movie.npz", allow_pickle=False)
    n_found = n_false = 0
    for frame, known_px in zip(movie["frames"][::4], movie["si_xy"][::4], strict=True):
        labels = intensity_labels(frame, REAL_PIXEL_A)
        silicon_A = labels.positions_px[labels.species == "Si"] * REAL_PIXEL_A
        pairs = match(silicon_A, known_px * REAL_PIXEL_A)
        n_found, n_false = n_found + len(pairs), n_false + len(silicon_A) - len(pairs)
    assert (n_found, n_false) == (33, 0)


def test_a_frame_of_nothing_is_refused():
    with pytest.raises(ModelError, match="bright spots in the frame; got 0"):
        intensity_labels(np.zeros((64, 64)), 0.16)


def labelled():
    """Two frames of noise, with atoms of carbon anywhere."""
    rng = np.random.default_rng(5)
    for shape in ((70, 90), (64, 64)):
        positions_px = rng.uniform(5, 60, (30, 2))
        yield LabelledFrame(rng.poisson(50, shape).astype(float), 0.16, positions_px, np.full(30, "C"))


def test_labelled_frames_become_training_images(tmp_path):
    recipe = TrainingRecipe(n_pixels=64)
    assert write_labelled_frames(tmp_path / "set", labelled(), recipe) == 2 * 2 + 1
    images, masks = open_training_set(tmp_path / "set")
    assert images.shape == masks.shape == (5, 64, 64)
    # The second image of the first frame ends at its right edge.
    np.testing.assert_array_equal(images[0][:, 26:], images[1][:, :-26])
    np.testing.assert_array_equal(masks[0][:, 26:], masks[1][:, :-26])
    assert set(np.unique(masks[0])) == {0, 1}
    with pytest.raises(ModelError, match="labelled frame 0; got 70 × 90"):
        write_labelled_frames(tmp_path / "small", labelled(), TrainingRecipe(n_pixels=96))


def test_a_mix_has_the_share_asked_for(tmp_path):
    recipe = TrainingRecipe(n_pixels=64)
    write_training_set(tmp_path / "own", recipe, 30, np.random.SeedSequence(1))
    write_labelled_frames(tmp_path / "other", labelled(), recipe)
    images, masks = open_training_set(tmp_path / "own", [tmp_path / "other"], 0.5)
    assert len(images) == len(masks) == 60
    other = open_training_set(tmp_path / "other")[0]
    np.testing.assert_array_equal(images[30], images[55])
    np.testing.assert_array_equal(images[59], other[4])
    write_training_set(tmp_path / "less", TrainingRecipe(n_pixels=32), 4, np.random.SeedSequence(1))
    with pytest.raises(ModelError, match="64 × 64; wanted 32 × 32"):
        open_training_set(tmp_path / "less", [tmp_path / "other"])


def test_what_is_mixed_in_is_told_apart(tmp_path):
    recipe = TrainingRecipe(n_pixels=64)
    write_labelled_frames(tmp_path / "frames", labelled(), recipe)
    (tmp_path / "structures").mkdir()
    (tmp_path / "structures" / "one.xyz").touch()
    mixed = TrainingConfig(recipe=recipe).mixed_with([tmp_path / "frames", tmp_path / "structures"])
    assert mixed.mix == (tmp_path / "frames",)
    assert mixed.recipe.structures == (tmp_path / "structures" / "one.xyz",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="nothing to train on"):
        mixed.mixed_with([tmp_path / "empty"])
    relative = TrainingConfig(mix=("frames",), recipe=TrainingRecipe(structures=("a.xyz",)))
    assert relative.with_paths_from(tmp_path).mix == (tmp_path / "frames",)
    assert relative.with_paths_from(tmp_path).recipe.structures == (tmp_path / "a.xyz",)
