"""Fitted potentials for other programs: tables for LAMMPS and GROMACS, a calculator for ASE, files of our own."""

from __future__ import annotations

import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from hpcstem.errors import HpcstemError, StructureError
from hpcstem.files import read_json, whole_file, write_json, write_text
from hpcstem.potentials.bases import GaussianBasis, PairBasis, SplineBasis
from hpcstem.potentials.fitted import FittedPotential
from hpcstem.potentials.pairs import half_pairs
from hpcstem.potentials.three_body import ThreeBodyBasis

_N_POINTS = 10000
_BASES: dict[str, Any] = {"splines": SplineBasis, "gaussians": GaussianBasis}


def write_lammps_table(
    potential: FittedPotential, path: Path, energy_unit: float = 1.0, n_points: int = _N_POINTS
) -> None:
    """Write one section per species pair for `pair_style table spline`.

    Parameters
    ----------
    potential
        What to write.
    path
        The file.
    energy_unit
        Energy in the units of the simulation per unit of the fit.
    n_points
        Rows per section.
    """
    r_A = _grid(potential, n_points)
    lines = [
        "# Pair potentials fitted to observed motion; pair_style table spline",
        f"# estimator {potential.estimator}; kT {potential.kT * energy_unit:.10g} in the units of this file",
    ]
    if potential.three_body is not None:
        lines.append("# without the three-body term of the fit, which no table can hold")
    for k, (a, b) in enumerate(potential.pairs):
        energy, force = potential.energy(k, r_A) * energy_unit, -potential.slope(k, r_A) * energy_unit
        lines += ["", f"{a}_{b}", f"N {n_points} R {r_A[0]:.12g} {r_A[-1]:.12g}", ""]
        lines += [
            f"{i} {r:.12g} {e:.15g} {f:.15g}" for i, (r, e, f) in enumerate(zip(r_A, energy, force, strict=True), 1)
        ]
    write_text(path, "\n".join(lines) + "\n")


def write_gromacs_table(potential: FittedPotential, pair: int, path: Path, energy_unit_kJ_mol: float = 1.0) -> None:
    """Write one species pair as an `.xvg` table [nm, kJ/mol]: the potential in the columns of the dispersion.

    Parameters
    ----------
    potential
        What to write.
    pair
        Row of `potential.pairs`.
    path
        The file.
    energy_unit_kJ_mol
        Energy per unit of the fit [kJ/mol].
    """
    r_A = np.arange(0.0, potential.basis.cutoff_A + 10.0, 0.02)
    inside = np.maximum(r_A, 0.5 * potential.basis.low_A)
    energy = potential.energy(pair, inside) * energy_unit_kJ_mol
    force_nm = -potential.slope(pair, inside) * energy_unit_kJ_mol * 10
    energy = energy - force_nm / 10 * np.minimum(r_A - inside, 0.0)
    rows = [f"{r / 10:.6e} 0 0 {e:.10e} {f:.10e} 0 0" for r, e, f in zip(r_A, energy, force_nm, strict=True)]
    write_text(path, "# r[nm] f -f' g -g' h -h'; set c6 = 1, c12 = 0\n" + "\n".join(rows) + "\n")


class PairCalculator(Calculator):
    """Energy and forces in the plane for ASE: x and y only; periodic in both or in neither.

    Parameters
    ----------
    potential
        Fitted potentials.
    energy_unit
        Energy per unit of the fit.
    """

    implemented_properties: Any = ("energy", "forces")

    def __init__(self, potential: FittedPotential, energy_unit: float = 1.0) -> None:
        super().__init__()
        self._potential, self._energy_unit = potential, energy_unit

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """See `ase.calculators.calculator.Calculator`."""
        super().calculate(atoms, properties, system_changes)
        potential = self._potential
        symbols = atoms.get_chemical_symbols()
        unknown = sorted(set(symbols) - set(potential.symbols))
        if unknown:
            raise StructureError("species of the atoms", ", ".join(unknown), f"only {', '.join(potential.symbols)}")
        species = np.array([potential.symbols.index(symbol) for symbol in symbols])
        box_A = None
        if atoms.pbc[:2].any():
            box_A = (float(atoms.cell[0, 0]), float(atoms.cell[1, 1]))
            if not atoms.pbc[:2].all() or abs(atoms.cell[0, 1]) + abs(atoms.cell[1, 0]) > 1e-9:
                raise StructureError("cell of the atoms", "not a rectangle", "a rectangle, periodic in x and y")
        found = half_pairs(atoms.positions[:, :2], potential.basis.cutoff_A, box_A)
        low = np.minimum(species[found.first], species[found.second])
        high = np.maximum(species[found.first], species[found.second])
        energy, slope = 0.0, np.zeros(len(found))
        distance_A = found.distance_A
        for k, (a, b) in enumerate(potential.pairs):
            own = (low == potential.symbols.index(a)) & (high == potential.symbols.index(b))
            energy += float(potential.energy(k, distance_A[own]).sum()) if own.any() else 0.0
            slope[own] = potential.slope(k, distance_A[own])
        along = (slope / distance_A)[:, None] * found.vector_A
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces[:, :2], found.first, along)
        np.add.at(forces[:, :2], found.second, -along)
        if potential.three_body is not None and potential.three_body_coefficients is not None:
            coefficients = potential.three_body_coefficients.ravel()
            matrix, each = np.zeros((len(atoms), 2, len(coefficients))), np.zeros(len(coefficients))
            potential.three_body.add_forces(
                matrix, each, np.ascontiguousarray(atoms.positions[:, :2]), species, len(potential.symbols), box_A
            )
            forces[:, :2] += matrix @ coefficients
            energy += float(each @ coefficients)
        self.results = {"energy": energy * self._energy_unit, "forces": forces * self._energy_unit}


def write_potential(potential: FittedPotential, path: Path) -> None:
    """Write the arrays to `path` (.npz) and the rest to the same name with .json."""
    basis = potential.basis
    names = ("coefficients", "covariance", "penalty", "distances", "residual", "residual_error")
    arrays = {name: getattr(potential, name) for name in names}
    if potential.three_body is not None:
        arrays["three_body_coefficients"] = potential.three_body_coefficients
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)
    settings = asdict(basis)  # type: ignore[call-overload]
    scalars = {
        name: getattr(potential, name)
        for name in (
            "interval",
            "kT",
            "n_intervals",
            "estimator",
            "degrees",
            "relaxation",
            "localisation_A",
        )
    }
    write_json(
        path.with_suffix(".json"),
        {
            "basis": settings,
            "symbols": list(potential.symbols),
            "mobility": list(map(float, potential.mobility)),
            "three_body": None if potential.three_body is None else asdict(potential.three_body),
            "units": "Å; energy in Å² per unit of the interval, for a mobility of one of the first species",
            **scalars,
        },
    )


def read_potential(path: Path) -> FittedPotential:
    """Read what `write_potential` wrote.

    Raises
    ------
    HpcstemError
        One of the two files is absent or damaged.
    """
    values = read_json(Path(path).with_suffix(".json"))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        settings = dict(values["basis"])
        basis: PairBasis = _BASES[settings.pop("name")](**settings)
        rest = {k: v for k, v in values.items() if k not in ("basis", "symbols", "mobility", "units", "three_body")}
        three_body = values["three_body"] and ThreeBodyBasis(**values["three_body"])
        return FittedPotential(
            basis=basis,
            symbols=tuple(values["symbols"]),
            mobility=tuple(values["mobility"]),
            three_body=three_body,
            **arrays,
            **rest,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise HpcstemError(
            f"cannot read potential {path}", error, "a file written by hpcstem potentials fit"
        ) from error


def _grid(potential: FittedPotential, n_points: int) -> np.ndarray:
    """Distances from well inside the first interval to the cut-off [Å]."""
    return np.linspace(0.5 * potential.basis.low_A, potential.basis.cutoff_A, n_points)
