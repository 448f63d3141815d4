"""Launchers of a queue as programs of their own, killed while they work and started again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from ase.build import molecule
from small_run import command, environment

from hpcstem.simulation.database import database_status
from hpcstem.simulation.jobs import JobTree, relax_job
from hpcstem.simulation.launchpad import JobLaunchPad
from hpcstem.simulation.settings import RelaxSettings
from hpcstem.simulation.workflow import add_trees

DEADLINE_S = 240
"""Waiting ends when its condition holds; this only ends a test that cannot succeed."""


def add_small_jobs(launchpad: JobLaunchPad, first: int, count: int) -> list[str]:
    """Queue relaxations of H2 of one step each, all different; their keys."""
    trees = [
        JobTree(relax_job(f"h2 {seed}", molecule("H2"), RelaxSettings(max_steps=1, seed=seed)))
        for seed in range(first, first + count)
    ]
    add_trees(launchpad, trees, "h2")
    return [tree.root.key for tree in trees]


class Crew:
    """Launchers that work on one queue.

    Parameters
    ----------
    queue
        Folder of the queue.
    size
        How many there are at a time, with one worker each.
    random
        Draws the victims.
    """

    def __init__(self, queue: Path, size: int, random: Random) -> None:
        self.queue, self.size, self.random = queue, size, random
        self.launchers: list[subprocess.Popen] = []

    def fill(self) -> None:
        """Start launchers until the crew is complete."""
        self.launchers = [launcher for launcher in self.launchers if launcher.poll() is None]
        while len(self.launchers) < self.size:
            with open(self.queue / "launchers.log", "ab") as log:
                line = command("queue", "launch", "--db", self.queue, "--slots", 1)
                quiet = environment() | {"OMP_NUM_THREADS": "1"}
                self.launchers.append(subprocess.Popen(line, stdout=log, stderr=log, env=quiet))

    def kill_one(self) -> None:
        """Kill -9 of one launcher; its worker ends with it."""
        victim = self.launchers.pop(self.random.randrange(len(self.launchers)))
        victim.kill()
        victim.wait()

    def kill_database(self) -> None:
        """Kill -9 of the database."""
        owner = database_status(self.queue / "database").owner
        if owner is not None:
            os.kill(owner.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait until all launchers have ended by themselves."""
        for launcher in self.launchers:
            assert launcher.wait(timeout=DEADLINE_S) == 0, (self.queue / "launchers.log").read_text()[-2000:]

    def end(self) -> None:
        """Kill whatever is left."""
        for launcher in self.launchers:
            launcher.kill()
            launcher.wait()


def wait_until(condition: Callable[[], object], poll_s: float = 0.02) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(poll_s)
