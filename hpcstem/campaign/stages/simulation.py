"""Stage `simulation`: the region's cell relaxed, then molecular dynamics from it, through the job queue."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs, Run
from hpcstem.campaign.schema import Campaign, SimulationSection
from hpcstem.campaign.stage import Job, Stage
from hpcstem.errors import ConfigError, SimulationError
from hpcstem.files import read_json, sha256, whole_file, write_json

if TYPE_CHECKING:
    from hpcstem.simulation.launchpad import JobLaunchPad
    from hpcstem.simulation.results import JobResult

DATABASE_CLAIM = "simulation/database-claim.json"
"""Names the process that started the embedded database for as long as it needs it."""

DATABASE_VARIABLE = "HPCSTEM_DATABASE_URI"
"""Environment variable with the URI where the campaign says `database: environment`."""

_PLACE_ONLY = {"workers", "database"}


def settings(campaign: Campaign) -> Any:
    """What the results depend on: not where the database is, nor how many workers."""
    if campaign.simulation is None:
        return None
    return {"simulation": campaign.simulation.model_dump(mode="json", exclude=_PLACE_ONLY), "seed": campaign.seed}


def database_address(run: Run, section: SimulationSection | None) -> str | Path:
    """URI of the campaign's database, or the folder of the embedded one."""
    if section is not None and section.database == "environment":
        if DATABASE_VARIABLE not in os.environ:
            raise ConfigError(f"the variable {DATABASE_VARIABLE}", "not set", "the URI of the campaign's MongoDB in it")
        return os.environ[DATABASE_VARIABLE]
    if section is not None and section.database is not None:
        return section.database
    return run.path("simulation/database")


@contextlib.contextmanager
def launchpad_of(run: Run, section: SimulationSection | None) -> Iterator[JobLaunchPad]:
    """Open the job queue of a run; an embedded database that had to be started for it is stopped again.

    So is one that a killed process had started for itself; one that `hpcstem db start` started goes on.
    """
    from hpcstem.simulation.database import database_status, stop_database
    from hpcstem.simulation.launchpad import open_launchpad
    from hpcstem.simulation.owner import Owner

    address = database_address(run, section)
    if not isinstance(address, Path):
        yield open_launchpad(address)
        return
    claim = run.path(DATABASE_CLAIM)
    claimant = Owner.from_document(read_json(claim)) if claim.exists() else None
    if database_status(address).running and (claimant is None or not claimant.is_here or claimant.is_alive):
        yield open_launchpad(address)
        return
    write_json(claim, Owner.current().to_document())
    try:
        yield open_launchpad(address)
    finally:
        if claim.exists():
            stop_database(address)
            claim.unlink()


def work(job: Job) -> Outputs:
    """Queue the jobs, run them, write `simulation/simulation.json` and the structures."""
    from hpcstem.simulation.launcher import launch
    from hpcstem.simulation.queue import rerun
    from hpcstem.simulation.results import results
    from hpcstem.simulation.settings import NVTSettings, RelaxSettings
    from hpcstem.simulation.workflow import add_relax_nvt

    section = job.campaign.simulation
    assert section is not None  # noqa: S101 - a stage without settings does not run
    structure = read_json(job.run.path("structure/structure.json"))
    if structure["region"] is None:
        raise SimulationError("no region to simulate", structure["no_region_because"], "another `region_size_A:`")
    region = job.run.path("structure/region.xyz")
    folder = job.run.path("simulation")
    folder.mkdir(exist_ok=True)
    cell = folder / "cell.xyz"
    with whole_file(cell) as temporary:
        shutil.copyfile(region, temporary)
    relax = RelaxSettings(engine=section.engine, fmax_eV_A=section.force_tolerance_eV_A, seed=job.campaign.seed)
    dynamics = [
        NVTSettings(
            engine=section.engine,
            temperature_K=temperature_K,
            n_steps=section.n_steps,
            timestep_fs=section.timestep_fs,
            trajectory_steps=max(section.n_steps // 20, 1),
            seed=job.campaign.seed,
        )
        for temperature_K in section.temperatures_K
    ]
    with launchpad_of(job.run, section) as launchpad:
        reference = {"path": "cell.xyz", "sha256": sha256(cell)}
        added = add_relax_nvt(launchpad, job.campaign.name, reference, relax, dynamics)
        keys = [added.relax, *added.nvt]
        rerun(launchpad, keys)
        with progress_bar("simulate", len(keys), "job") as update:
            status = launch(
                launchpad, folder, section.workers, progress=lambda counts: update(_ended(counts, len(keys)))
            )
        failed = [one for one in status.jobs if one.key in keys and one.state != "COMPLETED"]
        if failed:
            reasons = "; ".join(f"{one.name}: {one.state} {one.failure}".strip() for one in failed)
            raise SimulationError(f"{len(failed)} of {len(keys)} jobs did not end", reasons, "`hpcstem queue status`")
        by_key = {result.key: result for result in results(launchpad)}
    return _collect(job.run, [by_key[key] for key in keys])


def _ended(counts: Mapping[str, int], n_jobs: int) -> int:
    return min(counts.get("COMPLETED", 0) + counts.get("FIZZLED", 0), n_jobs)


def _collect(run: Run, found: list[JobResult]) -> Outputs:
    """Copy structures and trajectories to plain names, and sum up."""
    from hpcstem.simulation.bonds import bond_lengths
    from hpcstem.structure.exchange import read_xyz

    folder = run.path("simulation")
    jobs, files = [], []
    for result in found:
        is_relaxation = result.kind == "relax"
        name = "relaxed.xyz" if is_relaxation else f"nvt-{result.settings['temperature_K']:g}K.xyz"
        source = folder / (result.structure if is_relaxation else result.trajectory)
        with whole_file(folder / name) as temporary:
            shutil.copyfile(source, temporary)
        files.append(folder / name)
        final = read_xyz(folder / result.structure)[0][-1]
        jobs.append(
            {
                "key": result.key,
                "kind": result.kind,
                "temperature_K": result.settings.get("temperature_K"),
                "state": "COMPLETED",
                "energy_eV": result.energy_eV,
                "converged": result.converged,
                "n_steps": result.n_steps,
                "max_force_eV_A": result.max_force_eV_A,
                "temperature_mean_K": result.temperature_K,
                "temperature_std_K": result.temperature_std_K,
                "energy_drift_meV_per_atom_ps": None
                if result.drift_eV_atom_ps is None
                else 1000 * result.drift_eV_atom_ps,
                "wall_s": result.wall_s,
                "host": result.host,
                "method": result.method,
                "bonds": {
                    pair: {"mean_A": bonds.mean_A, "std_A": bonds.std_A, "n": bonds.count}
                    for pair, bonds in bond_lengths(final).items()
                },
            }
        )
    run.remove_others("simulation/nvt-*.xyz", files)
    path = folder / "simulation.json"
    write_json(path, {"method": found[0].method, "jobs": jobs, "comparison": _comparison(folder)})
    return Outputs(tuple(files), (path,))


def _comparison(folder: Path) -> dict[str, Any]:
    """Decoded against relaxed coordinates of the atoms that were seen."""
    from hpcstem.structure.bonds import bond_graph
    from hpcstem.structure.comparison import compare
    from hpcstem.structure.exchange import read_xyz

    decoded, relaxed = read_xyz(folder / "cell.xyz")[0][0], read_xyz(folder / "relaxed.xyz")[0][-1]
    seen = decoded.numbers != 1
    flat_A = decoded.positions[seen, :2]
    bonds = bond_graph(flat_A, np.array(decoded.get_chemical_symbols())[seen]).edges
    found = compare(flat_A, relaxed.positions[seen], bonds)
    return {
        "mean_error_x_percent": found.coordinate_error_percent[0],
        "mean_error_y_percent": found.coordinate_error_percent[1],
        "bond_error_x_percent": found.bond_error_percent[0],
        "bond_error_y_percent": found.bond_error_percent[1],
        "rms_displacement_A": found.rms_A,
        "max_displacement_A": float(found.distances_A.max()),
        "rms_height_A": float(np.sqrt((found.heights_A**2).mean())),
        "best_scale": found.scale,
        "n_atoms": int(seen.sum()),
    }


STAGE = Stage("simulation", "relax the region's cell, then molecular dynamics", ("structure",), settings, work)
