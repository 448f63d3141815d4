"""Fixtures: a real embedded database and a real FireWorks launchpad on it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule

from hpcstem.simulation.database import start_database, stop_database
from hpcstem.simulation.launchpad import JobLaunchPad, open_launchpad


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """Folder of a running database."""
    folder = tmp_path / "db"
    start_database(folder)
    yield folder
    stop_database(folder)


@pytest.fixture(scope="session")
def server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a database server that no test kills or stops; add a database's name."""
    folder = tmp_path_factory.mktemp("server") / "db"
    yield start_database(folder)
    stop_database(folder)


@pytest.fixture
def launchpad(server_uri: str) -> JobLaunchPad:
    """Launchpad on an empty database, by its URI."""
    return open_launchpad(f"{server_uri}d{secrets.token_hex(4)}")


@pytest.fixture(scope="session")
def benzene() -> Atoms:
    """C6H6."""
    return molecule("C6H6")
