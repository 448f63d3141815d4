"""Run directories whose stage `structure` is done, with atoms that move by known forces or change by known rules."""

from functools import cache
from pathlib import Path

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.campaign.run import InputDigests, Outputs, Run
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job
from hpcstem.campaign.stages import kinetics, potentials
from hpcstem.config import checked
from hpcstem.execution import SerialExecutor
from hpcstem.files import write_json
from hpcstem.frames import MovieMetadata, write_movie
from hpcstem.kinetics.simulated_defects import DefectMovie, simulate_defects
from hpcstem.potentials.toy import ToySystem

PIXEL_A = 0.5
MATRIX = [[0.80, 0.15, 0.05], [0.10, 0.75, 0.15], [0.05, 0.25, 0.70]]
INTERVAL_S = 2e-3
"""Time between the frames of `moving_atoms`, a fifteenth of the time in which the atoms relax."""


def moving_atoms(n_frames: int, name: str = "moving") -> AtomTable:
    """A patch of 192 atoms of two species, each frame seen whole, that move by Lennard-Jones forces."""
    system = ToySystem()
    positions_A, species, _ = system.honeycomb((8, 6), 1.42, 0.2, np.random.SeedSequence([5, 0]))
    seed = np.random.SeedSequence([5, n_frames])
    moved = system.simulate(positions_A, species, None, n_frames, INTERVAL_S, seed)
    place_A = moved.positions_A + (12.0 - positions_A.min(axis=0))
    n = len(place_A)
    return AtomTable(
        movie=np.full(n, name), frame=np.repeat(np.arange(n_frames), len(species)),
        x_px=place_A[:, 0] / PIXEL_A, y_px=place_A[:, 1] / PIXEL_A, x_A=place_A[:, 0], y_A=place_A[:, 1],
        species=np.array(["C", "Si"])[moved.species], probability=np.ones(n), detection=np.ones(n),
        sigma_A=np.full(n, 0.01), track=moved.track,
    )  # fmt: skip


def changing_defects(n_movies: int, n_frames: int = 25) -> list[AtomTable]:
    """Movies of graphene with three defects that change by `MATRIX`."""
    recipe = DefectMovie(n_frames, 70.0, 3, 0.12, 0.1, 0.05)
    seeds = np.random.SeedSequence(4).spawn(n_movies)
    found = [simulate_defects(f"movie-{i}", np.array(MATRIX), recipe, seed) for i, seed in enumerate(seeds)]
    return [table.with_columns(x_px=table.x_A / PIXEL_A, y_px=table.y_A / PIXEL_A) for table in found]


def run_with(folder: Path, tables: list[AtomTable], frame_time_s: float | tuple[float, ...] | None, **sections) -> Job:
    """A job in a run directory that holds these atoms as the stage `structure` leaves them, one movie per table."""
    movies, described = [], []
    run = Run(folder / "run")
    run.folder.mkdir(parents=True, exist_ok=True)
    times_s = frame_time_s if isinstance(frame_time_s, tuple) else [frame_time_s] * len(tables)
    for table, time_s in zip(tables, times_s, strict=True):
        name = str(table.movie[0])
        side = int(np.ceil(max(table.x_A.max(), table.y_A.max()) / PIXEL_A)) + 24
        frames = np.random.default_rng(1).random((int(table.frame.max()) + 1, side, side), np.float32)
        path = folder / f"{name}.h5"
        if not path.exists():
            write_movie(path, frames, MovieMetadata(pixel_size_A=PIXEL_A, frame_time_s=time_s))
        movies.append({"path": str(path), "name": name})
        described.append({"name": name, "pixel_size_A": PIXEL_A, "frames": []})
        table.write(run.path(f"structure/atoms/{name}.parquet"))
    write_json(run.path("structure/structure.json"), {"movies": described, "region": None})
    data = [run.path(f"structure/atoms/{entry['name']}.parquet") for entry in described]
    run.finish("structure", "by hand", Outputs(tuple(data)), 0.0)
    campaign = checked(Campaign, {"name": "known", "movies": movies} | sections, "known")
    return Job(campaign, run, InputDigests(run, keep=False), SerialExecutor)


FIT = {"cutoff_A": 4.5, "low_A": 1.05, "functions": 16}


@cache
def motion_run(base: Path) -> Job:
    """A run whose stage `potentials` has found the forces of `moving_atoms`; not to be changed."""
    job = run_with(base / "motion", [moving_atoms(600)], INTERVAL_S, potentials={"cutoff_A": 4.5, "fit": FIT})
    potentials.work(job)
    return job


@cache
def kinetics_run(base: Path) -> Job:
    """A run whose stage `kinetics` has followed `changing_defects`; not to be changed."""
    job = run_with(base / "kinetics", changing_defects(6), 17.0, kinetics={})
    kinetics.work(job)
    return job
