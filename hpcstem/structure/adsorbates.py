"""Atoms and molecules on a sheet: where they can sit, how they can lie, and sheets that carry one.

References
----------
.. [1] B. Cordero et al., Covalent radii revisited, Dalton Trans. 2008, 2832, https://doi.org/10.1039/b801115j
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from hpcstem.errors import StructureError
from hpcstem.structure.sheet import Sheet, sheet_of

_OVERLAP = 0.75
"""An adsorbate nearer to the sheet, or to its own image, than this share of the covalent radii is refused."""
_GROUND_STATES = {"CH2": "CH2_s3B1d", "SiH2": "SiH2_s1A1d"}
"""ASE's names tell the spin states of these apart."""
_UNIT_Z = np.array([0.0, 0.0, 1.0])


class SiteKind(enum.StrEnum):
    """Where an adsorbate sits."""

    TOP = "top"
    """On an atom."""
    BRIDGE = "bridge"
    """Over the middle of a bond."""
    HOLLOW = "hollow"
    """Over the middle of a ring."""


class Place(enum.StrEnum):
    """Which of the sites of one kind."""

    CENTRE = "centre"
    """The one nearest to the middle of the sheet."""
    HOLE = "hole"
    """The one nearest to the middle of the largest hole."""
    EDGE = "edge"
    """The one nearest to the outer edge; of several the one farthest along x."""


class Pose(enum.StrEnum):
    """How a molecule lies: its axis runs from the atom that binds to the middle of the others.

    Of a molecule whose middle is the binding atom, as in planar CH3, the axis is the normal of its plane.
    """

    UP = "up"
    """Axis away from the sheet: the binding atom is lowest."""
    DOWN = "down"
    """Axis towards the sheet."""
    SIDE = "side"
    """Axis along the sheet."""


@dataclass(frozen=True, eq=False)
class AdsorptionSite:
    """One site on a sheet.

    Parameters
    ----------
    kind
        What it lies on.
    position_A
        Mean position of its atoms [Å], with shape (3,), float64.
    atoms
        Its atoms: one, the two of a bond, or those of a ring, int64.
    """

    kind: SiteKind
    position_A: np.ndarray
    atoms: np.ndarray


def adsorbate(species: str | Path) -> ase.Atoms:
    """Return an adsorbate by chemical symbol, by name (`CH3`, `H2O`; those of ASE), or from a structure file.

    Raises
    ------
    StructureError
        There is no such element, molecule or file.
    """
    from ase.build import molecule
    from ase.collections import g2
    from ase.io import read

    name = str(species)
    if name in atomic_numbers and name != "X":
        return ase.Atoms(name)
    if name in g2.names or name in _GROUND_STATES:
        known = molecule(_GROUND_STATES.get(name, name))
        return ase.Atoms(known.symbols, known.positions)
    if not Path(species).is_file():
        near = difflib.get_close_matches(name, [*g2.names, *atomic_numbers], n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise StructureError("species of an adsorbate", repr(name), f"an element, a molecule of ASE, or a file{hint}")
    try:
        found = read(species, index=-1)
    except Exception as error:  # the readers of the many formats raise many kinds
        raise StructureError(f"cannot read {species}", error, "a structure file with one molecule") from error
    if not isinstance(found, ase.Atoms):
        raise StructureError(f"cannot read {species}", type(found).__name__, "a structure file with one molecule")
    return ase.Atoms(found.symbols, found.positions)


def adsorption_sites(sheet: ase.Atoms | Sheet, kind: SiteKind) -> list[AdsorptionSite]:
    """Return all sites of one kind; hydrogen is passed over, and sites of rings are those of 5 to 8 atoms.

    Raises
    ------
    StructureError
        The atoms make no sheet.
    """
    sheet = sheet if isinstance(sheet, Sheet) else sheet_of(sheet)
    graph = sheet.graph
    if kind is SiteKind.TOP:
        groups: Sequence[np.ndarray] = [np.array([atom]) for atom in range(len(graph))]
    elif kind is SiteKind.BRIDGE:
        groups = list(graph.edges)
    else:
        chosen = np.flatnonzero((sheet.rings.sizes >= 5) & (sheet.rings.sizes <= 8))
        groups = [sheet.rings[ring] for ring in chosen.tolist()]
    sites = []
    for group in groups:
        positions_A = sheet.unwrapped_A(group)
        sites.append(AdsorptionSite(SiteKind(kind), positions_A.mean(axis=0), sheet.atoms[group]))
    return sites


def choose_site(atoms: ase.Atoms, kind: SiteKind, place: Place | tuple[float, float]) -> AdsorptionSite:
    """Return the site of one kind nearest to a place of the sheet, or to a point x, y [Å].

    Raises
    ------
    StructureError
        There is no such site, no hole, or no edge.
    """
    sheet = sheet_of(atoms)
    sites = adsorption_sites(sheet, SiteKind(kind))
    if not sites:
        raise StructureError(f"sites of kind {SiteKind(kind)}", "none", "a sheet that has bonds and rings")
    points_A = np.array([site.position_A[:2] for site in sites])
    if isinstance(place, tuple):
        targets_A = np.array([place])
    elif place is Place.CENTRE:
        targets_A = sheet.positions_A[:, :2].mean(axis=0)[None]
    elif place is Place.HOLE:
        targets_A = _largest_hole(sheet)[None]
    else:
        targets_A = _outer_edge(sheet)
    distances_A = np.linalg.norm(points_A[:, None] - targets_A, axis=2).min(axis=1)
    order = np.lexsort((-points_A[:, 1], -points_A[:, 0], np.round(distances_A, 3)))
    return sites[order[0]]


def site_of(atoms: ase.Atoms, kind: SiteKind, group: Sequence[int]) -> AdsorptionSite:
    """Return the site that some atoms of a sheet make: one atom, the two of a bond, or those of a ring.

    Parameters
    ----------
    atoms
        The sheet; where it repeats, no two atoms of the site are more than half a cell apart.
    kind
        What the site lies on.
    group
        Indices of its atoms.

    Raises
    ------
    StructureError
        The sheet has no such atoms.
    """
    members = np.asarray(group, np.int64)
    if members.max() >= len(atoms):
        raise StructureError("atoms of an adsorption site", members.tolist(), f"indices below {len(atoms)}")
    vectors_A = atoms.get_distances(members[0], members, mic=bool(atoms.pbc.any()), vector=True)
    return AdsorptionSite(SiteKind(kind), atoms.positions[members[0]] + vectors_A.mean(axis=0), members)


def with_adsorbate(
    atoms: ase.Atoms,
    adsorbed: ase.Atoms,
    site: AdsorptionSite,
    pose: Pose = Pose.UP,
    azimuth_deg: float = 0.0,
    height_A: float | None = None,
    binding: int | None = None,
) -> ase.Atoms:
    """Return the sheet with an adsorbate over a site, on the side of +z.

    Parameters
    ----------
    atoms
        The sheet.
    adsorbed
        The atom or molecule.
    site
        Where it goes: its binding atom lies over the site.
    pose
        How it lies; a single atom has no pose.
    azimuth_deg
        Turn about z [°].
    height_A
        Height of the binding atom over the site [Å]. None lowers the adsorbate until one of its atoms is as near to
        one of the sheet as the sum of their covalent radii [1]_: 2.15 Å for Cr on C.
    binding
        Index of the binding atom; None is the first that is not hydrogen.

    Returns
    -------
    ase.Atoms
        The sheet in its order, then the adsorbate.

    Raises
    ------
    StructureError
        The adsorbate overlaps with the sheet or with its own image, or `binding` is not there.
    """
    if binding is None:
        binding = int(np.argmax(adsorbed.numbers != 1))
    if not 0 <= binding < len(adsorbed):
        raise StructureError("binding atom", binding, f"0 to {len(adsorbed) - 1}")
    positions_A = _posed(adsorbed, binding, Pose(pose), azimuth_deg) + site.position_A
    lift_A = height_A if height_A is not None else _contact_A(atoms, adsorbed.numbers, positions_A)
    placed = ase.Atoms(adsorbed.symbols, positions_A + lift_A * _UNIT_Z, cell=atoms.cell, pbc=atoms.pbc)
    _refuse_overlap(atoms, placed)
    whole = ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    return whole + placed


def isolated(adsorbed: ase.Atoms, vacuum_A: float = 8.0, periodic: bool = True) -> ase.Atoms:
    """Return an adsorbate alone in the middle of a cube with `vacuum_A` [Å] on each side, for its reference energy."""
    alone = ase.Atoms(adsorbed.symbols, adsorbed.positions, pbc=periodic)
    side_A = float(np.ptp(alone.positions, axis=0).max()) + 2 * vacuum_A
    alone.cell = [side_A] * 3
    alone.center()
    return alone


def adsorption_energy_eV(sheet_eV: float, adsorbate_eV: float, together_eV: float) -> float:
    """Return E(sheet) + E(adsorbate) - E(sheet + adsorbate) [eV]: positive where the adsorbate is bound."""
    return sheet_eV + adsorbate_eV - together_eV


def _largest_hole(sheet: Sheet) -> np.ndarray:
    if not sheet.rings.holes:
        raise StructureError("hole of the sheet", "none", "a sheet with a hole, or another `near`")
    largest = max(sheet.rings.holes, key=len)
    return np.asarray(sheet.unwrapped_A(largest)[:, :2].mean(axis=0))


def _outer_edge(sheet: Sheet) -> np.ndarray:
    if not sheet.rings.rims:
        raise StructureError("outer edge of the sheet", "none", "a patch that ends, or another `near`")
    return np.concatenate([sheet.positions_A[np.unique(rim), :2] for rim in sheet.rings.rims])


def _posed(adsorbed: ase.Atoms, binding: int, pose: Pose, azimuth_deg: float) -> np.ndarray:
    """Positions (n, 3) with the binding atom at the origin and the axis as the pose has it [Å]."""
    positions_A = adsorbed.positions - adsorbed.positions[binding]
    if len(adsorbed) > 1:
        axis = np.delete(positions_A, binding, axis=0).mean(axis=0)
        if np.linalg.norm(axis) < 1e-3:
            axis = np.linalg.svd(positions_A)[2][-1]
        to = {Pose.UP: _UNIT_Z, Pose.DOWN: -_UNIT_Z, Pose.SIDE: np.array([1.0, 0.0, 0.0])}[pose]
        positions_A = positions_A @ _turning(axis, to).T
    turn = np.radians(azimuth_deg)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(positions_A @ about_z.T)


def _turning(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Shortest rotation (3, 3) that turns the direction `start` to `end`."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    across = np.cross(a, b)
    if np.linalg.norm(across) < 1e-9:
        if a @ b > 0:
            return np.eye(3)
        normal = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
        normal /= np.linalg.norm(normal)
        return np.asarray(2 * np.outer(normal, normal) - np.eye(3))
    skew = np.array([[0, -across[2], across[1]], [across[2], 0, -across[0]], [-across[1], across[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + a @ b))


def _contact_A(atoms: ase.Atoms, numbers: np.ndarray, positions_A: np.ndarray) -> float:
    """Lift along z at which the first pair of atoms, coming from above, is as near as their radii [Å]."""
    both = ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=[*atoms.pbc[:2], False])
    n = len(both)
    flat = ase.Atoms(np.concatenate([atoms.numbers, numbers]), cell=both.cell, pbc=both.pbc)
    flat.positions = np.vstack([atoms.positions, positions_A]) * (1.0, 1.0, 0.0)
    reach_A = float(covalent_radii[atoms.numbers].max() + covalent_radii[numbers].max())
    i, j, lateral_A = neighbor_list("ijd", flat, reach_A)
    across = (i < n) & (j >= n)
    i, j, lateral_A = i[across], j[across], lateral_A[across]
    sums_A = covalent_radii[flat.numbers[i]] + covalent_radii[flat.numbers[j]]
    touching = lateral_A < sums_A
    above_A = np.sqrt(np.maximum(sums_A**2 - lateral_A**2, 0.0))
    lifts_A = atoms.positions[i, 2] + above_A - positions_A[j - n, 2]
    return float(lifts_A[touching].max(initial=0.0))


def _refuse_overlap(atoms: ase.Atoms, placed: ase.Atoms) -> None:
    n = len(atoms)
    both = ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc) + placed
    reach_A = _OVERLAP * float(covalent_radii[both.numbers].max()) * 2
    i, j, shifts, distances_A = neighbor_list("ijSd", both, reach_A)
    near = distances_A < _OVERLAP * (covalent_radii[both.numbers[i]] + covalent_radii[both.numbers[j]])
    own_image = (i >= n) & (j >= n) & (shifts != 0).any(axis=1)
    bad = np.flatnonzero(near & (((i < n) & (j >= n)) | own_image))
    if len(bad):
        worst = bad[np.argmin(distances_A[bad])]
        pair = f"{both.symbols[i[worst]]}{i[worst]} and {both.symbols[j[worst]]}{j[worst]} {distances_A[worst]:.2f} Å"
        raise StructureError(
            "an adsorbate overlaps", f"{pair} apart", "a larger height_A, another site, or a wider cell"
        )
