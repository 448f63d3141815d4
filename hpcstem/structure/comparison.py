"""Decoded against relaxed coordinates, atom by atom.

References
----------
.. [1] W. Kabsch, Acta Crystallographica A 32, 922 (1976), https://doi.org/10.1107/S0567739476001873
.. [2] S. Umeyama, IEEE Trans. Pattern Anal. Mach. Intell. 13, 376 (1991), https://doi.org/10.1109/34.88573
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError


@dataclass(frozen=True, eq=False)
class Comparison:
    """How far decoded atoms lie from relaxed ones after the best rotation and shift in the plane.

    Parameters
    ----------
    displacements_A
        Relaxed minus aligned decoded position in x and y [Å], with shape (n_atoms, 2), float64.
    heights_A
        Relaxed height over the mean plane [Å], with shape (n_atoms,), float64; zeros for flat structures.
    rotation_rad
        Turn of the decoded onto the relaxed structure [rad].
    scale
        Isotropic scale that would fit best after the turn; it is not applied, so an error of the pixel size
        shows here and in the displacements.
    coordinate_error_percent
        For x and y: 100 × Σ |decoded - relaxed| / Σ |relaxed|, coordinates counted from the lower corner of
        the relaxed patch's bounding box. This is the mean error in coordinates that is to stay under 5 %.
    bond_error_percent
        For x and y: 100 × Σ |decoded - relaxed| / Σ |relaxed| over the components of the bond vectors. It
        does not depend on the origin nor on the patch's size, and is the stricter of the two. NaN without
        bonds.
    """

    displacements_A: np.ndarray
    heights_A: np.ndarray
    rotation_rad: float
    scale: float
    coordinate_error_percent: tuple[float, float]
    bond_error_percent: tuple[float, float]

    @property
    def distances_A(self) -> np.ndarray:
        """Length of each displacement [Å], with shape (n_atoms,), float64."""
        return np.linalg.norm(self.displacements_A, axis=1)

    @property
    def rms_A(self) -> float:
        """Root mean square of the displacements [Å]."""
        return float(np.sqrt((self.displacements_A**2).sum(axis=1).mean()))


def compare(decoded_A: np.ndarray, relaxed_A: np.ndarray, bonds: np.ndarray) -> Comparison:
    """Compare decoded with relaxed atoms of the same order.

    Parameters
    ----------
    decoded_A
        x and y [Å], with shape (n_atoms, 2), float64.
    relaxed_A
        x, y and perhaps z [Å], with shape (n_atoms, 2) or (n_atoms, 3), float64; not wrapped into a periodic
        cell, and without the hydrogen that was added.
    bonds
        Bonded atoms, with shape (n_bonds, 2), int64.

    Returns
    -------
    Comparison
        After the proper rotation and shift in the plane with the least squares [1]_; the scale follows [2]_.

    Raises
    ------
    StructureError
        Fewer than two atoms, or shapes that do not fit.
    """
    decoded_A, relaxed_A = np.asarray(decoded_A, float), np.asarray(relaxed_A, float)
    n_atoms = len(decoded_A)
    if decoded_A.shape != (n_atoms, 2) or relaxed_A.shape not in ((n_atoms, 2), (n_atoms, 3)) or n_atoms < 2:
        raise StructureError(
            "coordinates to compare",
            f"decoded {decoded_A.shape}, relaxed {relaxed_A.shape}",
            "(n, 2) and (n, 2 or 3), n > 1",
        )
    flat_A = relaxed_A[:, :2]
    heights_A = relaxed_A[:, 2] - relaxed_A[:, 2].mean() if relaxed_A.shape[1] == 3 else np.zeros(n_atoms)
    from_centre_A, to_centre_A = decoded_A - decoded_A.mean(axis=0), flat_A - flat_A.mean(axis=0)
    # In the plane the best rotation has a closed form: the angle of the complex product of both structures.
    product = ((to_centre_A @ [1.0, 1.0j]) * (from_centre_A @ [1.0, -1.0j])).sum()
    angle_rad = float(np.angle(product))
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    aligned_A = from_centre_A @ np.array([[cosine, sine], [-sine, cosine]]) + flat_A.mean(axis=0)
    vectors_A = [structure[bonds[:, 1]] - structure[bonds[:, 0]] for structure in (aligned_A, flat_A)]
    corner_A = flat_A.min(axis=0)
    return Comparison(
        flat_A - aligned_A,
        heights_A,
        angle_rad,
        float(abs(product) / (from_centre_A**2).sum()),
        _error_percent(aligned_A - corner_A, flat_A - corner_A),
        _error_percent(*vectors_A) if len(bonds) else (np.nan, np.nan),
    )


def _error_percent(got: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    x, y = 100.0 * np.abs(got - wanted).sum(axis=0) / np.abs(wanted).sum(axis=0)
    return float(x), float(y)
