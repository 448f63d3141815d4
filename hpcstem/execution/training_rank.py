"""One process of a group that trains one member: `python -m hpcstem.execution.training_rank`.

Its order is one line of JSON on standard input, which then stays open: its end says that whoever started this process
is gone. Rank 0 prints one line of JSON per step that it reports.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hpcstem.device import Device, find_device
from hpcstem.errors import HpcstemError
from hpcstem.execution.horovod_group import HorovodGroup
from hpcstem.execution.rendezvous import GroupKind
from hpcstem.execution.torch_group import TorchGroup
from hpcstem.files import read_json
from hpcstem.process_group import ProcessGroup, SingleProcess
from hpcstem.segmentation.ensemble_training import checkpoint_path, train_one
from hpcstem.segmentation.stop_request import StopRequest
from hpcstem.segmentation.training import Conduct
from hpcstem.segmentation.training_config import TrainingConfig

_SECONDS_BETWEEN_REPORTS = 0.5
_SECONDS_TO_STOP = 60.0


@dataclass(frozen=True)
class Order:
    """What one process has to do.

    Parameters
    ----------
    folder
        Of the ensemble, which all processes see; it holds the configuration and the training images.
    member
        Number of the member, from 0.
    ranks
        Processes in the group.
    local_rank
        Number of this process's worker among those on its host.
    group
        Implementation of the group.
    checkpoint_every_s
        Time between checkpoints [s].
    """

    folder: str
    member: int
    ranks: int
    local_rank: int
    group: GroupKind
    checkpoint_every_s: float

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` wrote."""
        return cls(**json.loads(line))


def main() -> int:
    """Train as ordered on standard input; return the exit status."""
    order = Order.from_line(sys.stdin.readline())
    with StopRequest() as stop:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
        device = find_device(order.local_rank)
        group = make_group(order, device)
        folder = Path(order.folder)
        conduct = Conduct(
            group,
            device,
            checkpoint_path(folder, order.member),
            order.checkpoint_every_s,
            lambda: stop.requested,
        )
        config = TrainingConfig.model_validate(read_json(folder / "training.json"))
        try:
            train_one(config, folder, order.member, reporter(group.rank), conduct)
        except HpcstemError as error:
            print(error, file=sys.stderr)
            return error.exit_status
        # No process leaves while another still waits for it.
        group.barrier()
        group.close()
    return 0


def make_group(order: Order, device: Device) -> ProcessGroup:
    """Join the group, as the environment says."""
    if order.ranks == 1:
        return SingleProcess()
    return HorovodGroup(device) if order.group == "horovod" else TorchGroup(device, os.environ)


def reporter(rank: int) -> Callable[[int, float], None]:
    """Print steps of rank 0, not more often than a person can read."""
    last_s = -_SECONDS_BETWEEN_REPORTS

    def report(step: int, loss: float) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if rank == 0 and now_s - last_s >= _SECONDS_BETWEEN_REPORTS:
            last_s = now_s
            print(json.dumps({"step": step, "loss": loss}), flush=True)

    return report


def _stop_with_parent(stop: StopRequest) -> None:
    # Not through `sys.stdin`: a thread that waits in it holds its lock, over which Python aborts at the end.
    while os.read(0, 1):
        pass
    stop.request()
    time.sleep(_SECONDS_TO_STOP)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
