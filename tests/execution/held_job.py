"""An analysis that goes no further than a test lets it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """Writes `started/BATCH-PROCESS` in a folder, waits there for a file `go`, and collects the nodes."""

    folder: Path

    def process(self, batch: int) -> dict[int, str]:
        (self.folder / "started").mkdir(exist_ok=True)
        (self.folder / "started" / f"{batch}-{os.environ['SLURMD_NODENAME']}-{os.getpid()}").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.05)
        return {batch: os.environ["SLURMD_NODENAME"]}

    def merge(self, left: dict[int, str], right: dict[int, str]) -> dict[int, str]:
        return {**left, **right}

    def finish(self, partial: dict[int, str]) -> dict[int, str]:
        return partial


def started(folder: Path) -> set[str]:
    """Batches that were started: BATCH-NODE-PROCESS."""
    return {path.name for path in (folder / "started").glob("*")}
