"""Where a queue is: a folder for its files, and its database, embedded in that folder or a MongoDB."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_plus

from pydantic import Field

from hpcstem.config import Section, checked, read_yaml
from hpcstem.errors import ConfigError
from hpcstem.files import read_json, write_json

PLACE_FILE = "queue.json"
USER_VARIABLE, PASSWORD_VARIABLE = "HPCSTEM_DATABASE_USER", "HPCSTEM_DATABASE_PASSWORD"
_SCHEMES = ("mongodb://", "mongodb+srv://")


class Credentials(Section):
    """Content of a file of credentials.

    Parameters
    ----------
    user, password
        What the MongoDB knows its user by.
    """

    user: str = Field(min_length=1)
    password: str = Field(min_length=1)


class _PlaceFile(Section):
    format: Literal[1] = 1
    uri: str | None = None
    credentials: Path | None = None
    taken_from: Path | None = None
    token: str | None = None


@dataclass(frozen=True)
class QueuePlace:
    """A queue.

    Parameters
    ----------
    folder
        Folder of its files: `jobs/`, `structures/`, `workers/`.
    uri
        URI of its MongoDB without a password; None for the database embedded in `folder/database`.
    credentials
        File with user and password; None where the environment has them, or where none are needed.
    taken_from
        Of a queue whose jobs were taken out of another: folder of the files of that one, which both work in.
    token
        What jobs that were taken out carry.
    """

    folder: Path
    uri: str | None = None
    credentials: Path | None = None
    taken_from: Path | None = None
    token: str | None = None

    @property
    def files(self) -> Path:
        """Folder of the jobs' files."""
        return self.taken_from or self.folder

    @property
    def address(self) -> str | Path:
        """Folder of the embedded database, or the URI with user and password.

        Raises
        ------
        ConfigError
            The file of credentials is open to others or cannot be used.
        """
        return self.folder / "database" if self.uri is None else with_credentials(self.uri, self.credentials)


def is_uri(text: str | Path) -> bool:
    """Tell whether this is the URI of a MongoDB."""
    return str(text).startswith(_SCHEMES)


def create_place(folder: Path, uri: str | None = None, credentials: Path | None = None) -> QueuePlace:
    """Make the folder of a queue; one that is there with the same database stays as it is.

    Raises
    ------
    ConfigError
        The URI is none or holds a password, or the folder belongs to a queue with another database.
    """
    folder = Path(folder).resolve()
    if uri is not None and not is_uri(uri):
        raise ConfigError("URI of the database", repr(uri), "mongodb://HOST/DATABASE or mongodb+srv://HOST/DATABASE")
    if uri is not None and "@" in uri:
        wanted = f"a URI without them; put them into a file of mode 0600, or into {USER_VARIABLE}, {PASSWORD_VARIABLE}"
        raise ConfigError("URI of the database", "user and password in it", wanted)
    if credentials is not None and uri is None:
        raise ConfigError("credentials", "a file", "a `--uri` that they are for; the embedded database needs none")
    place = QueuePlace(folder, uri, None if credentials is None else Path(credentials).resolve())
    if (folder / PLACE_FILE).exists():
        found = read_place(folder)
        if found != place and (uri is not None or credentials is not None):
            raise ConfigError(f"queue in {folder}", f"the database {found.uri or 'embedded in it'}", "another folder")
        return found
    if place.uri is not None:
        with_credentials(place.uri, place.credentials)
    content = _PlaceFile(uri=place.uri, credentials=place.credentials)
    write_json(folder / PLACE_FILE, content.model_dump(mode="json"))
    return place


def create_offline(folder: Path, taken_from: Path) -> QueuePlace:
    """Make the folder of a queue for jobs that are taken out of the one with its files in `taken_from`.

    Raises
    ------
    ConfigError
        The folder holds a queue.
    """
    folder = Path(folder).resolve()
    if (folder / PLACE_FILE).exists():
        raise ConfigError(str(folder), "a queue", "a new folder")
    content = _PlaceFile(taken_from=taken_from.resolve(), token=secrets.token_hex(16))
    write_json(folder / PLACE_FILE, content.model_dump(mode="json"))
    return read_place(folder)


def read_place(folder: Path) -> QueuePlace:
    """Return the queue in a folder.

    Raises
    ------
    ConfigError
        There is none.
    """
    folder = Path(folder).resolve()
    path = folder / PLACE_FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no queue", wanted=f"`hpcstem queue init --db {folder}`")
    content = checked(_PlaceFile, read_json(path), str(path))
    return QueuePlace(folder, content.uri, content.credentials, content.taken_from, content.token)


def with_credentials(uri: str, credentials: Path | None = None) -> str:
    """Return the URI with user and password, from a file of mode 0600 or from the environment.

    Raises
    ------
    ConfigError
        The file is open to others or cannot be used, or the environment has only one of the two.
    """
    if credentials is not None:
        found = _read_credentials(credentials)
        user, password = found.user, found.password
    else:
        user, password = os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
        if bool(user) != bool(password):
            missing = PASSWORD_VARIABLE if user else USER_VARIABLE
            raise ConfigError(f"the variable {missing}", "not set", f"both {USER_VARIABLE} and {PASSWORD_VARIABLE}")
        if not user:
            return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{quote_plus(user)}:{quote_plus(password)}@{rest}"


def _read_credentials(path: Path) -> Credentials:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"credentials {path}", error.strerror, "a YAML file with `user:` and `password:`") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"credentials {path}", f"mode {stat.S_IMODE(mode):04o}", f"`chmod 600 {path}`")
    return checked(Credentials, read_yaml(path), f"credentials {path}")
