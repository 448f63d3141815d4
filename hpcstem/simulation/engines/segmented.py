"""One trajectory by an external program, over as many segments as it takes.

Each segment is one run of the program in a folder of its own, `segments/0001` and so on, made whole and renamed. What
is there decides how to go on, so a kill at any moment costs the step that was under way.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hpcstem.errors import SimulationError
from hpcstem.files import read_json, write_json
from hpcstem.simulation.deadline import Deadline, SegmentEnded
from hpcstem.simulation.engines.program import Ending, Watch, last_words, program_lock, run_program
from hpcstem.simulation.segments import SegmentLog

MAX_CORRECTIONS = 5
_FIRST_STEP = "first-step.json"
_TOLD_TOGETHER_S = 2.0


@dataclass(frozen=True)
class Frame:
    """One step of a program, in the order of its own input.

    Parameters
    ----------
    positions_A
        Positions [Å], with shape (n_atoms, 3), float64.
    cell_A
        Rows are the cell's vectors [Å], with shape (3, 3), float64.
    energy_eV
        Potential energy [eV].
    forces_eV_A
        Forces [eV/Å], with shape (n_atoms, 3), float64.
    kinetic_eV, conserved_eV
        In molecular dynamics the kinetic energy and the conserved quantity [eV]; else None.
    converged
        Whether the self-consistent field converged.
    """

    positions_A: np.ndarray
    cell_A: np.ndarray
    energy_eV: float
    forces_eV_A: np.ndarray
    kinetic_eV: float | None
    conserved_eV: float | None
    converged: bool


class Program(Protocol):
    """How one program is made to do its part of a trajectory."""

    @property
    def command(self) -> Sequence[str]:
        """Program and arguments."""
        ...

    def prepare(self, folder: Path, previous: Path | None, n_done: int) -> None:
        """Write the input of a segment that goes on after `n_done` steps from where `previous` can be gone on from."""
        ...

    def frames(self, folder: Path) -> Sequence[Frame]:
        """Return the whole steps of a segment, however it ended."""
        ...

    def n_kept(self, folder: Path) -> int:
        """Return how many steps of a segment come before the state that the next one goes on from."""
        ...

    def n_made(self, folder: Path) -> int:
        """Return how many steps a segment made, if no other goes on from it."""
        ...

    def is_done(self, folder: Path, n_before: int) -> bool:
        """Return whether a segment, with `n_before` steps before it, brought the job to its end."""
        ...

    def watch(self, folder: Path) -> Watch:
        """Return how to see the progress of a segment and to stop it."""
        ...

    def repair(self, folder: Path) -> tuple[str, ...]:
        """Correct the input that the next segment takes over; return what was changed, nothing if no error is known."""
        ...

    def tidy(self, folder: Path) -> None:
        """Remove what must not stay in a segment's folder."""
        ...


def run_segments(program: Program, folder: Path, deadline: Deadline) -> list[Frame]:
    """Run a program until its job is done; return all frames, each step once.

    Parameters
    ----------
    program
        What to run.
    folder
        Folder of this job alone.
    deadline
        When to stop.

    Raises
    ------
    SegmentEnded
        The time was up; call it again.
    SimulationError
        The program fails, and no correction is known or five have not helped.
    """
    with program_lock(folder) as lock:
        log, n_corrections = SegmentLog(folder), 0
        while True:
            segments = _segments(folder)
            for segment in segments:
                program.tidy(segment)
            if segments and program.is_done(segments[-1], _first_step(segments[-1])):
                log.close(_first_step(segments[-1]) + program.n_made(segments[-1]))
                return _joined(program, segments)
            n_done = _first_step(segments[-1]) + program.n_kept(segments[-1]) if segments else 0
            log.begin(n_done)
            if not deadline.allows(0):
                raise _stopped(log, n_done, deadline)
            segment = _new_segment(program, folder, segments, n_done)
            try:
                ending, status = run_program(program.command, segment, deadline, program.watch(segment), lock)
                n_reached = n_done + program.n_kept(segment)
                if program.is_done(segment, n_done):
                    log.end(n_done + program.n_made(segment), "finished")
                    continue
                if ending == Ending.STOPPED or (ending == Ending.ITSELF and _has_to_end(deadline)):
                    raise _stopped(log, n_reached, deadline)
                n_corrections = _correct(program, segment, log, n_reached, n_corrections, status)
            finally:
                program.tidy(segment)


def _has_to_end(deadline: Deadline) -> bool:
    """Whether this process is told to end, now or in a moment.

    Whoever ends an allocation tells all its processes, the program perhaps before the one that watches it. That the
    program ended too early is then no failure of its own.
    """
    until_s = time.monotonic() + _TOLD_TOGETHER_S
    while deadline.allows(0) and time.monotonic() < until_s:
        time.sleep(0.05)
    return not deadline.allows(0)


def _stopped(log: SegmentLog, n_steps: int, deadline: Deadline) -> SegmentEnded:
    ended = SegmentEnded(n_steps, deadline)
    log.stop(ended)
    return ended


def _correct(program: Program, segment: Path, log: SegmentLog, n_reached: int, n_corrections: int, status: int) -> int:
    failure = f"status {status}: {last_words(segment, program.watch(segment).output)}"
    try:
        corrections = program.repair(segment)
    except SimulationError as error:
        log.end(n_reached, f"failed: {error}")
        raise
    if not corrections or n_corrections == MAX_CORRECTIONS:
        log.end(n_reached, f"failed: {failure}", corrections)
        wanted = f"its output in {segment}" if not corrections else f"a cause that {MAX_CORRECTIONS} corrections cure"
        raise SimulationError(f"{Path(program.command[0]).name} after step {n_reached}", failure, wanted)
    log.end(n_reached, "corrected", corrections)
    return n_corrections + 1


def _segments(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "segments").glob("[0-9]*") if path.is_dir())


def _first_step(segment: Path) -> int:
    return int(read_json(segment / _FIRST_STEP)["first_step"])


def _new_segment(program: Program, folder: Path, segments: Sequence[Path], n_done: int) -> Path:
    target = folder / "segments" / f"{len(segments) + 1:04d}"
    unfinished = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write_json(unfinished / _FIRST_STEP, {"first_step": n_done})
    program.prepare(unfinished, segments[-1] if segments else None, n_done)
    os.rename(unfinished, target)
    return target


def _joined(program: Program, segments: Sequence[Path]) -> list[Frame]:
    """Each segment up to where the next began, the last to its end."""
    frames: list[Frame] = []
    for segment in segments:
        frames = frames[: _first_step(segment)]
        if len(frames) < _first_step(segment):
            raise SimulationError(f"steps before {segment}", len(frames), _first_step(segment))
        frames += program.frames(segment)
    return frames
