"""The toy system as a study: its trajectory from settings, and the errors of a fit against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.files import whole_file
from hpcstem.potentials.design import N_DISTANCE_BINS
from hpcstem.potentials.fitted import FittedPotential
from hpcstem.potentials.settings import ToySettings
from hpcstem.potentials.toy import ToySystem
from hpcstem.potentials.trajectory import Trajectory


def make_toy(settings: ToySettings) -> tuple[ToySystem, Trajectory]:
    """Simulate the toy system, from a honeycomb or from the first frame of decoded atoms.

    Raises
    ------
    StructureError
        The first frame holds other species, or the interval is not a multiple of the step.
    """
    fit = settings.fit
    if len(fit.species) != 2:
        raise StructureError("species of the toy system", fit.species, "two")
    system = ToySystem(kT=settings.kT, cutoff_A=fit.cutoff_A, symbols=(fit.species[0], fit.species[1]))
    seeds = np.random.SeedSequence(settings.seed).spawn(3)
    if settings.first_frame is None:
        positions_A, species, box_A = system.honeycomb(
            settings.cells, settings.bond_A, settings.share_of_second, seeds[0]
        )
        box: tuple[float, float] | None = (float(box_A[0]), float(box_A[1]))
    else:
        positions_A, species = _first_frame(Path(settings.first_frame), system.symbols)
        box = None
    trajectory = system.simulate(positions_A, species, box, settings.frames, fit.interval_s, seeds[1])
    if settings.noise_A > 0:
        noise_A = settings.noise_A * np.random.default_rng(seeds[2]).standard_normal(trajectory.positions_A.shape)
        shape = (settings.frames, -1, 2)
        trajectory = Trajectory.from_arrays(
            (trajectory.positions_A + noise_A).reshape(shape), species, system.symbols, box
        )
    return system, trajectory


@dataclass(frozen=True)
class ToyFile:
    """Analysis: one rank simulates the toy system into an NPZ file, unless it is there; all learn of an error.

    Parameters
    ----------
    path
        The file.
    """

    path: Path

    def process(self, batch: ToySettings) -> None:
        """Simulate and write."""
        if self.path.is_file():
            return
        trajectory = make_toy(batch)[1]
        n_atoms = int(trajectory.start[1])
        arrays: dict[str, Any] = {
            "positions_A": trajectory.positions_A.reshape(-1, n_atoms, 2),
            "species": trajectory.species[:n_atoms],
        }
        if trajectory.box_A is not None:
            arrays["box_A"] = np.array(trajectory.box_A)
        with whole_file(self.path) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **arrays)

    def merge(self, left: None, right: None) -> None:
        """Nothing to join."""

    def finish(self, partial: None) -> None:
        """Nothing to return."""


def _first_frame(path: Path, symbols: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    table = AtomTable.read(path)
    first = table.in_frame(int(table.frame.min())) if len(table) else table
    unknown = np.setdiff1d(first.species, symbols)
    if len(unknown) or not len(first):
        raise StructureError(f"first frame of {path}", ", ".join(unknown) or "no atoms", f"atoms of {symbols}")
    return first.positions_A, (first.species == symbols[1]).astype(np.int64)


def errors_against_truth(potential: FittedPotential, settings: ToySettings) -> dict[str, dict[str, float | None]]:
    """Root mean square error of U over the pairs seen, and the wells, by species pair."""
    system = ToySystem(kT=settings.kT, cutoff_A=settings.fit.cutoff_A)
    r_A = (np.arange(N_DISTANCE_BINS) + 0.5) / N_DISTANCE_BINS * settings.fit.cutoff_A
    errors: dict[str, dict[str, float | None]] = {}
    for k, (pair, truth) in enumerate(zip(potential.pairs, system.potentials, strict=True)):
        seen = potential.sampled(k, r_A)
        weight = potential.distances[k][seen]
        difference = (potential.energy(k, r_A) - truth.potential(r_A))[seen]
        well = potential.well(k)
        errors["-".join(pair)] = {
            "error": float(np.sqrt(np.average(difference**2, weights=weight))) if seen.any() else None,
            "depth": well and well[1],
            "true_depth": float(-truth.potential(np.array([truth.minimum_A]))[0]),
            "minimum_A": well and well[0],
            "true_minimum_A": truth.minimum_A,
        }
    return errors
