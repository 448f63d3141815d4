"""A rank of a training that waits after its fifth step for as long as the ensemble's folder holds a file `hold`."""

import os
import sys
import time
from pathlib import Path

from hpcstem.execution import training_rank

HELD_AT = 5
PARENT = os.getppid()


class Noted(training_rank.StopRequest):
    """Known to all of this program."""

    def __enter__(self):
        Noted.entered = self
        return super().__enter__()


def patient_reporter(folder, rank):
    """Note each step in a file of this process, and wait where asked to."""
    notes = folder / f"steps-{os.getpid()}"

    def report(step, loss):
        with open(notes, "a") as file:
            file.write(f"{step}\n")
        if step == HELD_AT:
            (folder / f"held-{rank}-{os.getpid()}-{os.getppid()}").touch()
            # One whose parent is gone goes on when it has noticed, so that how far it gets does not hang on chance.
            while (folder / "hold").exists() or (os.getppid() != PARENT and not Noted.entered.requested):
                time.sleep(0.02)

    return report


if __name__ == "__main__":
    training_rank.StopRequest = Noted
    training_rank.reporter = lambda rank: patient_reporter(Path(os.environ["PATIENT_FOLDER"]), rank)
    sys.exit(training_rank.main())
