"""Members placed on Dask workers: what is killed costs a restart, and the answer is that of an unbroken training."""

import importlib.util
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import patient_rank
import psutil
import pytest

from hpcstem.errors import ExecutionError
from hpcstem.execution import DaskExecutor, ensemble_placement
from hpcstem.execution.ensemble_placement import PlacedTraining, train_placed
from hpcstem.files import read_json
from hpcstem.imaging.training import TrainingRecipe
from hpcstem.segmentation import TrainingConfig
from hpcstem.segmentation.ensemble_training import train_ensemble
from hpcstem.segmentation.stop_request import TrainingStopped

TINY = TrainingConfig(
    recipe=TrainingRecipe(n_pixels=32, electrons_per_carbon=(2000, 4000), contamination_probability=0.0),
    n_samples=8,
    n_validation=4,
    members=2,
    filters=4,
    layers=(1,) * 7,
    steps=40,
    batch_size=4,
    learning_rate=1e-2,
    seed=3,
    # In float32, forty steps make another order of sums a difference of 1e-4.
    precision="float64",
)
FLOAT64_LOSS = 1e-9


@pytest.fixture(scope="module")
def executor():
    with DaskExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken") / "tiny"
    train_ensemble(TINY, folder)
    torch.set_num_threads(before)
    return folder


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """A folder in which ranks wait until all that are wanted have come, and something has been done to them."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "hold").touch()
    environment = f"PATIENT_FOLDER={folder}"
    program = ("env", environment, sys.executable, str(Path(patient_rank.__file__)))
    monkeypatch.setattr(ensemble_placement, "RANK_PROGRAM", program)
    return folder


def once_held(folder, n_ranks, act):
    """Progress that, when so many ranks wait, acts on the (rank, process, parent) of each and lets them go."""

    def progress(task, done, total, loss):
        held = sorted(folder.glob("held-*"))
        if len(held) == n_ranks and (folder / "hold").exists():
            act([tuple(int(part) for part in path.name.split("-")[1:]) for path in held])
            (folder / "hold").unlink()

    return progress


def kill_and_wait(process):
    """Kill -9, and wait until its children have no parent any more."""
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 60
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def attempts(folder):
    """First and last step of each process that trained."""
    steps = [list(map(int, path.read_text().split())) for path in folder.glob("steps-*")]
    return sorted((one[0], one[-1]) for one in steps)


def weights(folder):
    return [(folder / f"member-{i:02d}.safetensors").read_bytes() for i in range(2)]


def test_a_killed_worker_costs_its_member_a_restart_and_the_other_nothing(executor, patient, unbroken):
    progress = once_held(patient, 2, lambda held: kill_and_wait(held[0][2]))
    ensemble = train_placed(TINY, patient, executor, PlacedTraining(checkpoint_every_s=0.0), progress)
    assert weights(patient) == weights(unbroken)
    assert ensemble.card.metrics["C"]["n_true"] > 10
    # Both began at 1. One lost its worker at 5 and stopped by itself, some steps later on a busy machine; another
    # process went on from one of its checkpoints.
    (begin, last), second, (again, end) = attempts(patient)
    assert (begin, second, end) == (1, (1, 40), 40)
    assert patient_rank.HELD_AT <= again <= last + 1 <= 40
    assert not list(patient.glob("*.tmp"))


@pytest.mark.parametrize("kind", ["torch", "horovod"])
def test_a_killed_rank_costs_its_member_a_restart(executor, patient, unbroken, kind):
    if kind == "horovod" and importlib.util.find_spec("horovod") is None:
        pytest.skip("Horovod is not installed: launchers/install-horovod")

    def kill_rank_one(held):
        os.kill(next(process for rank, process, _ in held if rank == 1), signal.SIGKILL)

    one = TINY.model_copy(update={"members": 1})
    placed = PlacedTraining(2, kind, checkpoint_every_s=0.0)
    train_placed(one, patient, executor, placed, once_held(patient, 2, kill_rank_one))
    first, second, *after = attempts(patient)
    assert (first, second) == ((1, patient_rank.HELD_AT),) * 2
    # From the checkpoint of the fourth step, or of the fifth where rank 0 came to write it.
    assert after in [[(start, 40)] * 2 for start in (patient_rank.HELD_AT, patient_rank.HELD_AT + 1)]
    losses = read_json(patient / "member-00.json")["loss"]
    assert losses == pytest.approx(read_json(unbroken / "member-00.json")["loss"], rel=FLOAT64_LOSS)


def test_a_member_that_cannot_be_trained_does_not_cost_the_others(executor, tmp_path, unbroken):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "member-00.checkpoint").write_bytes(b"not a checkpoint")
    with pytest.raises(ExecutionError, match=r"members 1 were not trained.*cannot read the checkpoint"):
        train_placed(TINY, folder, executor, PlacedTraining())
    assert weights(unbroken)[1] == (folder / "member-01.safetensors").read_bytes()
    assert not (folder / "ensemble.json").exists()
    (folder / "member-00.checkpoint").unlink()
    train_placed(TINY, folder, executor, PlacedTraining())
    assert weights(folder) == weights(unbroken)


def test_stopped_as_asked_all_members_have_a_checkpoint(executor, tmp_path):
    folder, endless = tmp_path / "tiny", TINY.model_copy(update={"steps": 1_000_000})

    def both_at_work():
        return all((folder / f"member-{i:02d}.checkpoint").exists() for i in range(2))

    with pytest.raises(TrainingStopped):
        train_placed(endless, folder, executor, PlacedTraining(checkpoint_every_s=0.0), stop_requested=both_at_work)
    assert both_at_work()
    assert not list(folder.glob("member-*.safetensors"))
