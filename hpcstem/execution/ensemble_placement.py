"""Members of an ensemble trained at the same time, each by a group of processes on Dask workers of its own."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpcstem.errors import ExecutionError
from hpcstem.execution.dask_executor import DaskExecutor
from hpcstem.execution.rank_process import TOPIC, Outcome, run_rank, signal_ranks
from hpcstem.execution.rendezvous import GroupKind, local_ranks, rendezvous
from hpcstem.execution.training_rank import Order
from hpcstem.execution.workers import Workers
from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.ensemble_training import Progress, checkpoint_path, measure, prepare
from hpcstem.segmentation.stop_request import TrainingStopped
from hpcstem.segmentation.training_config import TrainingConfig

RANK_PROGRAM = (sys.executable, "-m", "hpcstem.execution.training_rank")
"""Command line of one rank."""

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_FOR_WORKERS = 600.0
_SECONDS_TO_STOP = 60.0


@dataclass(frozen=True)
class PlacedTraining:
    """How members are spread over workers.

    Parameters
    ----------
    ranks
        Processes per member, each on a worker of its own.
    group
        What they talk over.
    retries
        How often a member is started again that ended without a new checkpoint.
    checkpoint_every_s
        Time between checkpoints [s].
    """

    ranks: int = 1
    group: GroupKind = "torch"
    retries: int = 3
    checkpoint_every_s: float = 300.0


def train_placed(
    config: TrainingConfig,
    folder: Path,
    executor: DaskExecutor,
    placed: PlacedTraining,
    progress: Progress = lambda task, done, total, loss: None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> Ensemble:
    """Train the members that are missing in `folder` on the workers of a Dask cluster; measure; write the card.

    A worker or a rank that dies costs its member a restart from its checkpoint, on any workers that are free.

    Parameters
    ----------
    config
        What to train.
    folder
        Where the ensemble goes, on a file system that all workers see.
    executor
        Draws the training images and has the workers.
    placed
        How members are spread.
    progress
        Follows the work.
    stop_requested
        Asked all the time; true ends the training with a checkpoint of each member.

    Raises
    ------
    ModelError
        As `train_ensemble`.
    ExecutionError
        Too few workers, or members that could not be trained; the others are.
    TrainingStopped
        Stopped as asked.
    """
    missing = prepare(config, folder, progress, executor.run)
    if missing:
        placement = _Placement(config, Path(folder).resolve(), executor.connection, placed, progress)
        placement.train(deque(missing), stop_requested)
    return measure(config, folder)


@dataclass
class _Group:
    """One attempt at one member."""

    name: str
    member: int
    workers: list[str]
    futures: list[Any]
    resources: ExitStack
    checkpoint_ns: int
    doomed: bool = False
    errors: list[str] = field(default_factory=list)


class _Placement:
    def __init__(
        self, config: TrainingConfig, folder: Path, connection: Workers, placed: PlacedTraining, progress: Progress
    ) -> None:
        self._config, self._folder, self._placed, self._progress = config, folder, placed, progress
        self._connection, self._client = connection, connection.client
        self._address = _host(self._client.scheduler_comm.comm.local_address)
        self._waiting: deque[int] = deque()
        self._running: list[_Group] = []
        self._failures: dict[int, int] = {}
        self._given_up: dict[int, str] = {}
        self._steps: dict[int, tuple[int, float]] = {}
        self._n_started = 0

    def train(self, missing: deque[int], stop_requested: Callable[[], bool]) -> None:
        """Train all members that can be trained."""
        self._waiting = missing
        self._steps = {m: (self._config.steps, float("nan")) for m in range(self._config.members) if m not in missing}
        self._client.subscribe_topic(TOPIC, self._heard)
        without_workers_s = time.monotonic()
        try:
            while self._waiting or self._running:
                present = set(self._client.nthreads())
                self._start_groups(present)
                for group in list(self._running):
                    self._look_after(group, present)
                self._report()
                if stop_requested():
                    raise TrainingStopped("training stopped as asked; the same command goes on from the checkpoints")
                if self._running:
                    without_workers_s = time.monotonic()
                elif self._connection.failure is not None:
                    raise self._connection.failure
                elif time.monotonic() - without_workers_s > _SECONDS_FOR_WORKERS:
                    raise ExecutionError("Dask workers", len(present), f"at least {self._placed.ranks}, one per rank")
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            self._end_all()
            self._client.unsubscribe_topic(TOPIC)
        if self._given_up:
            names = ", ".join(str(member + 1) for member in sorted(self._given_up))
            reason = next(iter(self._given_up.values()))
            raise ExecutionError(f"members {names} were not trained", reason, "the same command tries them again")

    def _start_groups(self, present: set[str]) -> None:
        """Place waiting members on workers that no running group has, neighbours on a host together."""
        busy = {worker for group in self._running for worker in group.workers}
        workers = sorted(present, key=lambda worker: (_host(worker), worker))
        # Among all workers of a host, not those of a group: other groups use its devices too.
        local_rank = dict(zip(workers, local_ranks([_host(worker) for worker in workers]), strict=True))
        free = [worker for worker in workers if worker not in busy]
        while self._waiting and len(free) >= self._placed.ranks:
            taken, free = free[: self._placed.ranks], free[self._placed.ranks :]
            self._running.append(self._start(self._waiting.popleft(), {worker: local_rank[worker] for worker in taken}))

    def _start(self, member: int, workers: dict[str, int]) -> _Group:
        """Start one process on each worker, which has a number among those of its host."""
        placed, hosts, resources = self._placed, [_host(worker) for worker in workers], ExitStack()
        environments: list[dict[str, str]] = [{}]
        if placed.ranks > 1:
            environments = resources.enter_context(rendezvous(placed.group, hosts, self._address))
        self._n_started += 1
        name = f"{member}/{self._n_started}"
        futures = []
        for rank, (worker, local_rank) in enumerate(workers.items()):
            order = Order(str(self._folder), member, placed.ranks, local_rank, placed.group, placed.checkpoint_every_s)
            futures.append(
                self._client.submit(
                    run_rank,
                    f"{name} {rank}",
                    RANK_PROGRAM,
                    order.to_line(),
                    environments[rank],
                    hosts[rank],
                    workers=[worker],
                    allow_other_workers=False,
                    pure=False,
                    retries=0,
                )
            )
        return _Group(name, member, list(workers), futures, resources, self._checkpoint_ns(member))

    def _look_after(self, group: _Group, present: set[str]) -> None:
        """See who has ended; once all have, take the member as trained or place it again."""
        ended = [self._ending(*pair, present) for pair in zip(group.futures, group.workers, strict=True)]
        bad = [one for one in ended if one is not None and one.status != 0]
        if bad and not group.doomed:
            # The others wait for the one that is gone, some of them for minutes.
            group.doomed = True
            group.errors = [one.errors for one in bad]
            self._signal(group, signal.SIGKILL, present)
        if any(one is None for one in ended):
            return
        self._client.cancel(group.futures)
        self._running.remove(group)
        group.resources.close()
        if group.doomed:
            self._place_again(group, hopeless=any(one.status in (2, 3) for one in bad))
        else:
            self._steps[group.member] = (self._config.steps, self._steps.get(group.member, (0, float("nan")))[1])

    @staticmethod
    def _ending(future: Any, worker: str, present: set[str]) -> Outcome | None:
        """How a rank ended; None while it runs."""
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        if worker not in present:
            return Outcome(-1, f"the worker {worker} is gone")
        if future.status in ("error", "cancelled", "lost"):
            return Outcome(-1, f"the task of a rank was {future.status}")
        return None

    def _place_again(self, group: _Group, hopeless: bool) -> None:
        """Let a member wait again, unless it failed too often without getting on, or by a mistake that stays."""
        progressed = self._checkpoint_ns(group.member) != group.checkpoint_ns
        failures = 1 if progressed else self._failures.get(group.member, 0) + 1
        self._failures[group.member] = failures
        if hopeless or failures > self._placed.retries:
            lines = (group.errors[0] or "no message").splitlines()
            self._given_up[group.member] = lines[-1]
        else:
            self._waiting.append(group.member)

    def _checkpoint_ns(self, member: int) -> int:
        """When the checkpoint of a member was written; 0 without one."""
        with suppress(OSError):
            return checkpoint_path(self._folder, member).stat().st_mtime_ns
        return 0

    def _signal(self, group: _Group, number: signal.Signals, present: set[str]) -> None:
        reachable = [worker for worker in group.workers if worker in present]
        # A worker may be lost at this very moment; its ranks end by themselves then.
        with suppress(OSError, ValueError, KeyError):
            self._client.run(signal_ranks, group.name, int(number), workers=reachable, on_error="ignore")

    def _end_all(self) -> None:
        """Let the ranks that are left write a checkpoint, and end them."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            present = set(self._client.nthreads())
            for group in self._running:
                self._signal(group, number, present)
            deadline_s = time.monotonic() + _SECONDS_TO_STOP
            while self._running and time.monotonic() < deadline_s:
                present = set(self._client.nthreads())
                for group in list(self._running):
                    if all(self._ending(*pair, present) for pair in zip(group.futures, group.workers, strict=True)):
                        self._running.remove(group)
                        group.resources.close()
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """Note a step that a rank 0 reported; called in the thread of the client's event loop."""
        report = event[1]
        with suppress(KeyError, ValueError):
            member = int(report["name"].split("/")[0])
            self._steps[member] = (int(report["step"]), float(report["loss"]))

    def _report(self) -> None:
        steps = list(self._steps.values())
        losses = [loss for _, loss in steps if loss == loss]
        mean = sum(losses) / len(losses) if losses else float("nan")
        n_members, done = self._config.members, sum(step for step, _ in steps)
        self._progress(f"{n_members} members", done, n_members * self._config.steps, mean)


def _host(address: str) -> str:
    """IP address or name in an address of Dask's."""
    from distributed.comm import get_address_host

    host: str = get_address_host(address)
    return host
