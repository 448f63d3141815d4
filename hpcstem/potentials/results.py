"""Results of a force fit on disk: one JSON summary, the arrays, tables for other programs, and a figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.files import write_json
from hpcstem.potentials.export import write_gromacs_table, write_lammps_table, write_potential
from hpcstem.potentials.figures import draw_potentials, draw_three_body
from hpcstem.potentials.fitted import FittedPotential
from hpcstem.potentials.settings import FitMethod
from hpcstem.potentials.study import Study


def write_results(out: Path, study: Study, settings: FitMethod, truth: Any = None) -> dict[str, Any]:
    """Write what a fit found to a folder, and return its summary.

    Parameters
    ----------
    out
        The folder.
    study
        The fit.
    settings
        How it was made.
    truth
        Errors against the truth, where that is known, as JSON values.
    """
    potential = study.potential
    write_potential(potential, out / "potential.npz")
    write_tables(potential, out)
    draw_potentials(potential, out / "potential.png", study.verdict.pair_identifiable, study.mean_force)
    if potential.three_body is not None:
        draw_three_body(potential, out / "three_body.png")
    found = summary(study, settings) | {"truth": truth}
    write_json(out / "fit.json", found)
    return found


def write_tables(potential: FittedPotential, out: Path) -> list[Path]:
    """Write the potentials as tables for LAMMPS and GROMACS, and say which files these are."""
    paths = [out / "lammps.table"]
    write_lammps_table(potential, paths[0])
    for k, pair in enumerate(potential.pairs):
        paths.append(out / f"table_{'_'.join(pair)}.xvg")
        write_gromacs_table(potential, k, paths[-1])
    return paths


def summary(study: Study, settings: FitMethod) -> dict[str, Any]:
    """Numbers of a fit as JSON values; unknown ones are null.

    Depths in meV are those of a unit of energy that gives the first pair the depth of the settings.
    """
    potential = study.potential
    wells = [potential.well(k) for k in range(len(potential.pairs))]
    first = wells[0]
    unit_meV = settings.depth_meV / first[1] if first and first[1] > 0 else None
    pairs: dict[str, Any] = {}
    for k, (pair, known, well) in enumerate(zip(potential.pairs, study.verdict.pair_identifiable, wells, strict=True)):
        entry: dict[str, Any] = dict.fromkeys(
            ("minimum_A", "depth_kT", "depth_error_kT", "depth_meV", "depth_error_meV")
        )
        if well is not None:
            minimum_A, depth = well
            error = float(potential.deviation(k, np.array([minimum_A]))[0])
            entry |= {"minimum_A": minimum_A, "depth_kT": depth / potential.kT, "depth_error_kT": error / potential.kT}
            if unit_meV is not None:
                entry |= {"depth_meV": depth * unit_meV, "depth_error_meV": error * unit_meV}
        pairs["-".join(pair)] = {"identifiable": known, **entry}
    return {
        "estimator": potential.estimator,
        "frames": potential.n_intervals,
        "kT": potential.kT if study.kT_known else None,
        "localisation_A": study.localisation_A,
        "relaxation": potential.relaxation,
        "identifiable": study.verdict.identifiable,
        "pairs": pairs,
        "velocity_autocorrelation": [
            [float(c) if math.isfinite(c) else None for c in row] for row in study.motion.autocorrelation
        ],
        "sentences": study.sentences(),
    }
