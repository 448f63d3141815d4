"""The option `--db` of `hpcstem queue`: a queue folder, a run directory, or the URI of a MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hpcstem.simulation.launchpad import JobLaunchPad

_IDLE_S = 15.0
"""An embedded database that a command has started lives so long after its last user, and then frees its host."""

_db = click.option(
    "--db",
    required=True,
    help="Folder of a queue (made by `init`), a run directory, or a URI mongodb://HOST/NAME.",
)
_folder = click.option(
    "--folder", type=click.Path(path_type=Path), help="With a URI: the folder of the jobs' files. [default: .]"
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--db` and `--folder`."""
    return _db(_folder(command))


@dataclass(frozen=True)
class OpenQueue:
    """A queue that is connected.

    Parameters
    ----------
    launchpad
        Its database.
    folder
        Folder of its files.
    """

    launchpad: JobLaunchPad
    folder: Path


@contextmanager
def opened(db: str, folder: Path | None) -> Iterator[OpenQueue]:
    """Connect to a queue.

    Raises
    ------
    ConfigError
        There is no queue.
    DatabaseError
        Its database cannot be started or reached.
    """
    from hpcstem.errors import ConfigError
    from hpcstem.simulation.launchpad import open_launchpad
    from hpcstem.simulation.place import is_uri, read_place, with_credentials

    if folder is not None and not is_uri(db):
        raise ConfigError("--folder", str(folder), "a --db that is a URI; other queues have their files beside them")
    if is_uri(db):
        yield OpenQueue(open_launchpad(with_credentials(db)), (folder or Path()).resolve())
    elif (Path(db) / "campaign.yaml").is_file():
        with _of_run(Path(db)) as queue:
            yield queue
    else:
        place = read_place(Path(db))
        yield OpenQueue(open_launchpad(place.address, _IDLE_S), place.folder)


@contextmanager
def _of_run(run_directory: Path) -> Iterator[OpenQueue]:
    from hpcstem.campaign.run import Run
    from hpcstem.campaign.schema import load_campaign
    from hpcstem.campaign.stages.simulation import database_address, launchpad_of
    from hpcstem.errors import ConfigError

    run, section = Run(run_directory), load_campaign(run_directory / "campaign.yaml").simulation
    address = database_address(run, section)
    if isinstance(address, Path) and not address.exists():
        wanted = "`hpcstem run` as far as its stage `simulation`"
        raise ConfigError(f"{run_directory} has no job queue yet", wanted=wanted)
    with launchpad_of(run, section) as launchpad:
        yield OpenQueue(launchpad, run.path("simulation").resolve())
