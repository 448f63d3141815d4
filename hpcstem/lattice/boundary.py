"""The boundary of a study: a map of an order parameter that is read or made, and its profiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.curves import FittedCurve
from hpcstem.lattice.profiles import decay, fit_boundary_map, wall
from hpcstem.lattice.study_config import BoundarySection, MadeBoundarySection


@dataclass(frozen=True)
class OrderMap:
    """An order parameter beside an interface.

    Parameters
    ----------
    x_A
        Places across the boundary [Å], with shape (n_x,), float64.
    z_A
        Distances of the rows from the interface [Å], with shape (n_z,), float64.
    eta
        Order parameter, with shape (n_z, n_x), float64.
    sigma
        Its standard error; None where it is not known.
    """

    x_A: np.ndarray
    z_A: np.ndarray
    eta: np.ndarray
    sigma: float | None


def order_map(section: BoundarySection, seed: np.random.SeedSequence) -> OrderMap:
    """Read or make a map.

    Raises
    ------
    StructureError
        The file cannot be read, or lacks an array.
    """
    if section.made is not None:
        return _made(section.made, np.random.default_rng(seed))
    return _read(Path(section.map or ""))


def boundary_results(order: OrderMap) -> dict[str, Any]:
    """Profiles of a map, as values that JSON can hold.

    Raises
    ------
    StructureError
        The map holds no boundary, or does not determine the decay.
    """
    found = fit_boundary_map(order.x_A, order.z_A, order.eta, order.sigma)
    interface = found.interface
    return {
        "x_A": order.x_A.tolist(),
        "z_A": order.z_A.tolist(),
        "eta": order.eta.tolist(),
        "walls": [_of_curve(row) for row in found.walls],
        "interface": _of_curve(interface.curve),
        "correlation_length_A": [interface.correlation_length_A, interface.correlation_sigma_A],
        "extrapolation_A": [interface.extrapolation_A, interface.extrapolation_sigma_A],
    }


def _of_curve(curve: FittedCurve) -> dict[str, Any]:
    return {
        "names": curve.names,
        "values": curve.values.tolist(),
        "sigma": curve.sigma.tolist(),
        "interval_95": curve.interval().tolist(),
        "chi_square": curve.chi_square,
        "n_free": curve.n_free,
    }


def _made(made: MadeBoundarySection, generator: np.random.Generator) -> OrderMap:
    x_A = made.step_A * (np.arange(made.n_x) - (made.n_x - 1) / 2)
    z_A = made.step_A * np.arange(1, made.n_z + 1)
    heights = decay(z_A, **made.recovery)
    eta = heights[:, None] * wall(x_A, 1.0, made.centre_A, made.correlation_length_A)
    return OrderMap(x_A, z_A, eta + generator.normal(0, made.sigma, eta.shape), made.sigma)


def _read(path: Path) -> OrderMap:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x_A, z_A, eta = (np.asarray(arrays[name], np.float64) for name in ("x_A", "z_A", "eta"))
            sigma = float(arrays["sigma"]) if "sigma" in arrays else None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StructureError(f"cannot read {path}", error, "an NPZ file with x_A, z_A and eta") from error
    return OrderMap(x_A, z_A, eta, sigma)
