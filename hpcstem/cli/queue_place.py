"""Options that the commands `hpcstem queue` share: which queue, which jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hpcstem.simulation.launchpad import JobLaunchPad

IDLE_S = 15.0
"""An embedded database that a command has started lives so long after its last user, and then frees its host."""

db_option = click.option(
    "--db",
    required=True,
    help="Folder of a queue (made by `init`), a run directory, or a URI mongodb://HOST/NAME.",
)
_folder = click.option(
    "--folder", type=click.Path(path_type=Path), help="With a URI: the folder of the jobs' files. [default: .]"
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--db` and `--folder`."""
    return db_option(_folder(command))


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--where`, `--state` and `--key`, which it gets as the `query` that they mean."""

    @wraps(command)
    def chosen(*args: Any, where: tuple[str, ...], states: tuple[str, ...], keys: tuple[str, ...], **named: Any) -> Any:
        from hpcstem.simulation.selection import select

        return command(*args, query=select(where, states, keys).query(), **named)

    for option in (
        click.option("--key", "keys", multiple=True, help="Jobs whose key begins so."),
        click.option("--state", "states", multiple=True, help="Jobs in this state, such as fizzled."),
        click.option("--where", multiple=True, help="Jobs by axis=value, such as temperature_K=300."),
    ):
        chosen = option(chosen)
    return chosen


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
    from hpcstem.simulation.launchpad import database_errors, open_launchpad
    from hpcstem.simulation.place import is_uri, read_place, with_credentials

    if folder is not None and not is_uri(db):
        raise ConfigError("--folder", str(folder), "a --db that is a URI; other queues have their files beside them")
    with database_errors():
        if is_uri(db):
            yield OpenQueue(open_launchpad(with_credentials(db)), (folder or Path()).resolve())
        elif (Path(db) / "campaign.yaml").is_file():
            with _of_run(Path(db)) as queue:
                yield queue
        else:
            place = read_place(Path(db))
            yield OpenQueue(open_launchpad(place.address, IDLE_S), place.files)


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
