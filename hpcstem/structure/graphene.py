"""Perfect graphene sheets that cover a rectangular field of view.

References
----------
.. [1] A. H. Castro Neto et al., Rev. Mod. Phys. 81, 109 (2009), https://doi.org/10.1103/RevModPhys.81.109
"""

from __future__ import annotations

import ase
import numpy as np

from hpcstem.errors import StructureError

CC_BOND_A = 1.42
"""Distance of nearest neighbours in graphene [Å] [1]_."""
LATTICE_CONSTANT_A = CC_BOND_A * np.sqrt(3.0)
"""Length of graphene's lattice vectors [Å]."""

_LATTICE_A = LATTICE_CONSTANT_A * np.array([[1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]])
_BASIS = np.array([[0.0, 0.0], [1.0 / 3.0, 1.0 / 3.0]])


def lattice_points(corners_A: np.ndarray, basis: np.ndarray, transformation: np.ndarray) -> np.ndarray:
    """Points of a transformed lattice of graphene's symmetry in the bounding box of some corners.

    Parameters
    ----------
    corners_A
        Points that span the box to cover [Å], with shape (n, 2), float64.
    basis
        Fractional coordinates of the points in a unit cell, with shape (n_basis, 2), float64.
    transformation
        Rotation and strain, applied to row vectors from the left: `x @ transformation.T`, with shape (2, 2).

    Returns
    -------
    numpy.ndarray
        x and y [Å], with shape (n_points, 2), float64.
    """
    lattice_A = _LATTICE_A @ transformation.T
    low, high = corners_A.min(axis=0), corners_A.max(axis=0)
    box = np.array([[low[0], low[1]], [low[0], high[1]], [high[0], low[1]], [high[0], high[1]]])
    fractional = box @ np.linalg.inv(lattice_A)
    first = np.floor(fractional.min(axis=0)).astype(int) - 1
    last = np.ceil(fractional.max(axis=0)).astype(int) + 1
    cells = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)), indexing="ij"), -1)
    points = ((cells.reshape(-1, 1, 2) + basis) @ lattice_A).reshape(-1, 2)
    return points[((points >= low) & (points <= high)).all(axis=1)]


def rotation(angle_rad: float) -> np.ndarray:
    """Matrix that turns column vectors by `angle_rad` [rad] from x to y, with shape (2, 2)."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def strain_matrix(strain: tuple[float, float, float]) -> np.ndarray:
    """Deformation gradient 1 + ε of the strain (ε_xx, ε_yy, ε_xy), with shape (2, 2).

    Raises
    ------
    StructureError
        A component is beyond ±0.25, where graphene breaks.
    """
    if len(strain) != 3 or not np.all(np.abs(strain) <= 0.25):
        raise StructureError("strain of the sheet", strain, "(ε_xx, ε_yy, ε_xy), each within ±0.25")
    xx, yy, xy = strain
    return np.array([[1.0 + xx, xy], [xy, 1.0 + yy]])


def graphene_sheet(
    width_A: float,
    height_A: float,
    rotation_rad: float = 0.0,
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rng: np.random.Generator | None = None,
) -> ase.Atoms:
    """Flat sheet of graphene over the field 0 ≤ x ≤ `width_A`, 0 ≤ y ≤ `height_A`, not periodic.

    Parameters
    ----------
    width_A, height_A
        Extent of the field in x and y [Å].
    rotation_rad
        Angle from x to the zigzag direction, before the strain [rad].
    strain
        Homogeneous strain (ε_xx, ε_yy, ε_xy) in the axes of the field.
    rng
        Draws the offset of the lattice; without it an atom sits on the origin.

    Returns
    -------
    ase.Atoms
        Carbon atoms at z = 0, every lattice point in the field.

    Raises
    ------
    StructureError
        The field is empty or the strain is out of range.
    """
    if not (width_A > 0 and height_A > 0):
        raise StructureError("field of the sheet", f"{width_A} × {height_A} Å", "positive lengths")
    transformation = strain_matrix(strain) @ rotation(rotation_rad)
    offset_A = rng.random(2) @ _LATTICE_A @ transformation.T if rng is not None else np.zeros(2)
    corners_A = np.array([[0.0, 0.0], [width_A, height_A]])
    points_A = lattice_points(corners_A - offset_A, _BASIS, transformation) + offset_A
    positions_A = np.column_stack([points_A, np.zeros(len(points_A))])
    return ase.Atoms(numbers=np.full(len(points_A), 6), positions=positions_A)
