"""What a machine is like, from a YAML file of `site-configs/`: data only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcstem.config import checked, read_yaml, shipped_file

_Count = Annotated[int, Field(ge=1)]


class Site(BaseModel):
    """How to run on one machine.

    Parameters
    ----------
    executor
        What processes batches: `serial`, `dask` or `mpi`.
    workers
        Dask worker processes; None for one per core.
    threads_per_worker
        Batches that one Dask worker works on at the same time.
    in_flight_per_worker
        Batches handed out per Dask thread.
    memory_per_worker_GB
        Memory at which a Dask worker is started anew [1e9 bytes]; None for an equal share of the machine's.
    retries
        How often Dask tries a batch again after its worker died.
    scratch
        Folder for temporary files; None for the system's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    executor: Literal["serial", "dask", "mpi"] = "dask"
    workers: _Count | None = None
    threads_per_worker: _Count = 1
    in_flight_per_worker: _Count = 2
    memory_per_worker_GB: Annotated[float, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = 3
    scratch: Annotated[Path, Field(strict=False)] | None = None


def load_site(name_or_path: str | Path) -> Site:
    """Read a site by the name of a shipped file, or from a path that ends in .yaml or .yml.

    Raises
    ------
    ConfigError
        No such site; or the file is not YAML, has an unknown key, or a value that cannot be used.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = shipped_file("site-configs", str(name_or_path))
    return checked(Site, read_yaml(path), f"site {path}")
