"""Results for other programs: extended XYZ, Parquet, and ASE's database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.files import inside, whole_file
from hpcstem.simulation.records import JobRecord
from hpcstem.structure.exchange import read_xyz, write_xyz

_FORM = "a name that ends in .xyz, .parquet or .db"
_NUMBERS = ("seed", "temperature_K", "azimuth_deg")


def export(path: Path, records: Sequence[JobRecord], energies_eV: Mapping[str, float], run_directory: Path) -> int:
    """Write jobs to a file, whole or not at all, in the form that its ending names; return how many.

    `.parquet` has a row per job, ended or not; `.xyz` and `.db` have the last structure of each job that has a result,
    with its energy and labels. An extended XYZ file of relaxed structures is what training recipes read.

    Parameters
    ----------
    path
        The file.
    records
        Jobs.
    energies_eV
        Energies of adsorption by key [eV].
    run_directory
        Folder of the queue's files.

    Raises
    ------
    ConfigError
        No such form.
    SimulationError
        No job has a result.
    """
    if path.suffix == ".parquet":
        _write_parquet(path, [_row(one, energies_eV) for one in records])
        return len(records)
    if path.suffix not in (".xyz", ".db"):
        raise ConfigError(f"form of {path}", path.suffix or "no ending", _FORM)
    structures = [
        (one, read_xyz(inside(run_directory, one.result.structure))[0][-1]) for one in records if one.result is not None
    ]
    if not structures:
        raise SimulationError(f"structures for {path}", "no job with a result", "jobs that have ended; see `status`")
    if path.suffix == ".xyz":
        for one, atoms in structures:
            atoms.info |= {"key": one.key, "name": one.name} | _values(one)
        versions = [dict(one.result.versions) for one, _ in structures if one.result is not None]
        write_xyz(path, [atoms for _, atoms in structures], {"queue": str(run_directory), "versions": versions[-1]})
    else:
        _write_database(path, structures, energies_eV)
    return len(structures)


def _values(record: JobRecord) -> dict[str, Any]:
    """Labels, and what else a structure should say about itself; numbers as numbers."""
    labels = {axis: float(value) if axis in _NUMBERS else value for axis, value in record.labels.items()}
    if record.result is None:
        return labels
    return labels | {"kind": record.result.kind, "method": record.result.method, "converged": record.result.converged}


def _row(record: JobRecord, energies_eV: Mapping[str, float]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": record.key, "name": record.name, "state": record.state}
    row |= {axis: float(value) if axis in _NUMBERS else value for axis, value in record.labels.items()}
    row["adsorption_energy_eV"] = energies_eV.get(record.key)
    if record.result is not None:
        found = record.result.to_document()
        for name in ("key", "name", "segments"):
            del found[name]
        # Beside the temperature that was asked for.
        found["temperature_mean_K"] = found.pop("temperature_K")
        for name, value in found.items():
            row[name] = json.dumps(value, sort_keys=True) if isinstance(value, dict | list | tuple) else value
    return row


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)


def _write_database(
    path: Path, structures: Sequence[tuple[JobRecord, Atoms]], energies_eV: Mapping[str, float]
) -> None:
    from ase.db import connect

    with whole_file(path) as temporary, connect(temporary, type="db", use_lock_file=False) as database:
        for one, atoms in structures:
            values = {"job": one.key, "title": one.name} | _values(one)
            if one.key in energies_eV:
                values["adsorption_energy_eV"] = energies_eV[one.key]
            database.write(
                atoms, key_value_pairs=values, data={"settings": dict(one.result.settings) if one.result else {}}
            )
