"""Training images on disk: the same for any number of workers, and whole after any interruption."""

import numpy as np
import pytest

from hpcstem.errors import ModelError
from hpcstem.execution import DaskExecutor, SerialExecutor
from hpcstem.files import read_json
from hpcstem.imaging.training import TrainingRecipe, training_samples
from hpcstem.segmentation import training_set
from hpcstem.segmentation.normalise import normalise
from hpcstem.segmentation.training_set import open_training_set, write_training_set

RECIPE = TrainingRecipe(n_pixels=32)
N = 11


def seed():
    return np.random.SeedSequence(5).spawn(3)[1]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(training_set, "IMAGES_PER_SHARD", 4)


@pytest.fixture
def written(tmp_path):
    done = []
    digest = write_training_set(tmp_path / "set", RECIPE, N, seed(), done.append)
    assert done == [4, 8, 11]
    return tmp_path / "set", digest


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_images_are_those_of_the_recipe_in_order(written):
    images, masks = open_training_set(written[0])
    assert images.shape == masks.shape == (N, 32, 32)
    for i, sample in enumerate(training_samples(RECIPE, N, seed())):
        assert np.array_equal(images[i], normalise(sample.image[None], RECIPE.pixel_size_A)[0])
        assert np.array_equal(masks[i], sample.mask)
    with pytest.raises(IndexError):
        images[N]


def test_any_executor_writes_the_same_files(written, tmp_path):
    with SerialExecutor(check_pickling=True) as executor:
        assert write_training_set(tmp_path / "serial", RECIPE, N, seed(), run=executor.run) == written[1]
    assert contents(tmp_path / "serial") == contents(written[0])


@pytest.mark.parametrize("what", ["index", "record", "images", "damaged masks"])
def test_what_is_lost_is_drawn_again_and_the_rest_stays(written, what):
    folder, digest = written
    before = contents(folder)
    kept = (folder / "shard-00000.images.npy").stat().st_mtime_ns
    path = (
        folder
        / {
            "index": "training-set.json",
            "record": "shard-00001.json",
            "images": "shard-00001.images.npy",
            "damaged masks": "shard-00001.masks.npy",
        }[what]
    )
    if what == "damaged masks":
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    else:
        path.unlink()
    assert write_training_set(folder, RECIPE, N, seed()) == digest
    assert contents(folder) == before
    assert (folder / "shard-00000.images.npy").stat().st_mtime_ns == kept


def test_another_recipe_gives_another_set(written):
    other = RECIPE.model_copy(update={"background": (1.0, 2.0)})
    assert write_training_set(written[0], other, N, seed()) != written[1]
    assert read_json(written[0] / "training-set.json")["recipe"]["background"] == [1.0, 2.0]


def test_a_folder_without_a_set_is_named(tmp_path, written):
    with pytest.raises(ModelError, match="no training set in"):
        open_training_set(tmp_path)
    (written[0] / "shard-00001.images.npy").unlink()
    with pytest.raises(ModelError, match="no training set in"):
        open_training_set(written[0])


@pytest.mark.slow
def test_workers_of_dask_write_the_same_files(tmp_path, monkeypatch):
    """With shards of the usual size, which the workers know of by themselves."""
    monkeypatch.undo()
    here = write_training_set(tmp_path / "here", RECIPE, 130, seed())
    with DaskExecutor(2) as executor:
        assert write_training_set(tmp_path / "there", RECIPE, 130, seed(), run=executor.run) == here
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
