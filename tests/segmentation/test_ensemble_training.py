"""Training: reproducible, resumable, and it learns."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from hpcstem.errors import ModelError
from hpcstem.imaging.training import TrainingRecipe, training_samples
from hpcstem.segmentation import Ensemble, TrainingConfig
from hpcstem.segmentation.batches import augmented_batch
from hpcstem.segmentation.ensemble_training import fit_sigma, train_ensemble
from hpcstem.segmentation.normalise import normalise
from hpcstem.segmentation.training import train_member
from hpcstem.segmentation.training_set import write_shard

RECIPE = TrainingRecipe(n_pixels=48, electrons_per_carbon=(2000, 4000), contamination_probability=0.0)
TINY = TrainingConfig(
    recipe=RECIPE,
    n_samples=12,
    n_validation=4,
    members=2,
    filters=4,
    layers=(1,) * 7,
    steps=40,
    batch_size=4,
    learning_rate=1e-2,
    seed=3,
)
MEMBERS = ("member-00.safetensors", "member-01.safetensors")


class Tasks(list):
    """What was reported as being done."""

    def __call__(self, task, done, total, loss):
        self.append(task)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    return folder, train_ensemble(TINY, folder)


def contents(folder, names=MEMBERS):
    return [(folder / name).read_bytes() for name in names]


def test_card(trained):
    folder, ensemble = trained
    assert ensemble.card.members == MEMBERS
    assert ensemble.card.pixel_size_A == RECIPE.pixel_size_A
    assert TrainingConfig.model_validate(ensemble.card.training["config"]) == TINY
    assert ensemble.card.metrics["C"]["n_true"] > 20
    assert ensemble.card.sigma_floor_A > 0
    assert ensemble.digest == Ensemble.load(folder).digest
    history = json.loads((folder / "member-00.json").read_text())
    assert history["step"] == [20, 40]
    assert len(history["loss"]) == 2


def test_same_seed_same_ensemble(trained, tmp_path):
    folder, ensemble = trained
    again = train_ensemble(TINY, tmp_path / "tiny")
    assert contents(tmp_path / "tiny") == contents(folder)
    assert again.digest == ensemble.digest


def test_members_differ(trained):
    one, other = contents(trained[0])
    assert one != other


def test_second_call_trains_nothing(trained):
    folder, ensemble = trained
    tasks, before = Tasks(), contents(folder, (*MEMBERS, "ensemble.json"))
    again = train_ensemble(TINY, folder, tasks)
    assert tasks == []
    assert contents(folder, (*MEMBERS, "ensemble.json")) == before
    assert again.digest == ensemble.digest


@pytest.mark.parametrize("lost", ["member-01.safetensors", "member-01.json"])
def test_a_missing_member_alone_is_trained_and_equals_the_one_before(trained, lost):
    folder, ensemble = trained
    before, times = contents(folder), [(folder / name).stat().st_mtime_ns for name in MEMBERS]
    (folder / lost).unlink()
    tasks = Tasks()
    again = train_ensemble(TINY, folder, tasks)
    assert {task for task in tasks if task.startswith("member")} == {"member 2 of 2"}
    assert contents(folder) == before
    assert (folder / MEMBERS[0]).stat().st_mtime_ns == times[0]
    assert (folder / MEMBERS[1]).stat().st_mtime_ns > times[1]
    assert again.digest == ensemble.digest


def test_another_configuration_in_the_same_folder_is_refused(trained):
    folder, _ = trained
    before = contents(folder)
    with pytest.raises(ModelError, match="another training configuration"):
        train_ensemble(TINY.model_copy(update={"steps": 41}), folder)
    assert contents(folder) == before


def test_an_ensemble_that_finds_nothing_gets_no_card(tmp_path):
    """Its position uncertainty cannot be measured, so none is stated."""

    def nothing_there(writer, shards, on_batch):
        images = np.random.default_rng(0).normal(size=(12, 48, 48)).astype(np.float32)
        return (write_shard(writer.folder, 0, images, np.zeros(images.shape, np.uint8), writer.identity),)

    blind = TINY.model_copy(update={"members": 1, "steps": 60})
    with pytest.raises(ModelError, match="finds no atom"):
        train_ensemble(blind, tmp_path / "blind", run=nothing_there)
    assert not (tmp_path / "blind" / "ensemble.json").exists()


def test_image_and_mask_are_turned_alike(rng):
    masks = rng.integers(0, 3, (5, 16, 16)).astype(np.uint8)
    batch, target = augmented_batch(masks.astype(np.float32), masks, 30, rng)
    gains = set()
    for image, mask in zip(batch, target, strict=True):
        gain, level = np.polyfit(mask.ravel(), image.ravel(), 1)
        np.testing.assert_allclose(image, gain * mask + level, atol=1e-5)
        gains.add(round(gain, 4))
    assert len(gains) > 20
    assert len({mask.tobytes() for mask in target}) > 15


def test_loss_falls():
    samples = list(training_samples(RECIPE, 12, np.random.SeedSequence(1)))
    images = np.concatenate([normalise(s.image[None], RECIPE.pixel_size_A) for s in samples])
    masks = np.stack([s.mask for s in samples])
    steps, losses = [], []

    def follow(step, loss):
        steps.append(step)
        losses.append(loss)

    config = TINY.model_copy(update={"steps": 80})
    _, history = train_member(images, masks, config, np.random.SeedSequence(2), follow)
    assert steps == list(range(1, 81))
    assert history.step == [20, 40, 60, 80]
    assert history.loss[0] == pytest.approx(np.mean(losses[:20]))
    print(f"loss {losses[0]:.3f} -> {history.loss[-1]:.3f}")
    assert history.loss[-1] < 0.6 * losses[0]
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize(("floor_A", "scale"), [(0.05, 1.0), (0.03, 2.0), (0.08, 0.5)])
def test_fit_sigma_recovers_floor_and_scale(floor_A, scale, rng):
    spread_A = rng.gamma(2.0, 0.04, 20_000)
    sigma_A = np.hypot(floor_A, scale * spread_A)
    found_floor_A, found_scale = fit_sigma(rng.normal(size=(20_000, 2)) * sigma_A[:, None], spread_A)
    assert found_floor_A == pytest.approx(floor_A, rel=0.05)
    assert found_scale == pytest.approx(scale, rel=0.05)


def test_fit_sigma_of_one_member_is_the_error(rng):
    floor_A, _ = fit_sigma(rng.normal(0, 0.07, (20_000, 2)), np.zeros(20_000))
    assert floor_A == pytest.approx(0.07, rel=0.02)


@pytest.mark.parametrize("wrong", [{"layers": (2, 3)}, {"layers": (0,) * 7}, {"members": 0}, {"epochs": 5}])
def test_refused_configurations(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


def test_a_configuration_needs_no_torch():
    code = "import sys; import hpcstem.segmentation.training, hpcstem.segmentation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
