"""Fixtures for all tests."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from slurm_cluster import slurm, slurm_session  # noqa: F401

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# A shell that starts the tests in the background lets them ignore SIGINT, and every program that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time, and as long as they take on a machine that is busy.
settings.register_profile("shared", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real STEM frames and VASP outputs, whose licences forbid shipping them."""
    folder = Path(os.environ.get("HPCSTEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}; set HPCSTEM_SHARED_DATA")
    return folder
