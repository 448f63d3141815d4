"""Random sheets of graphene with defects, silicon, grain boundaries, holes and edges."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects_library import (
    atom_near,
    double_vacancy,
    hexagon_at,
    hole,
    silicon_on_four,
    silicon_on_three,
    silicon_trimer,
    single_vacancy,
    stone_wales,
    without_atoms,
    without_dangling,
)
from hpcstem.structure.grain_boundary import grain_boundary
from hpcstem.structure.graphene import graphene_sheet, strain_matrix

MARGIN_A = 3.0
"""Atoms this far outside the field are returned too, for the tails of their images [Å]."""

_DEFECTS_PER_A2 = 1.0 / 400.0
_GRAIN_BOUNDARY_CHANCE = 0.15
_HOLE_CHANCE = 0.15
_EDGE_CHANCE = 0.08
_PERFECT_CHANCE = 0.1
MAX_STRAIN = 0.03
"""Largest element of the strain of a random sheet, unless another is asked for."""

Defect = Callable[[BondGraph, int], BondGraph]


def random_graphene(
    width_A: float, height_A: float, rng: np.random.Generator, max_strain: float = MAX_STRAIN
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a flat sheet with random rotation, strain, defects, and sometimes a grain boundary, hole or edge.

    One sheet in ten is perfect. The others hold about one point defect per 400 Å² (single vacancy, 5-8-5,
    5-7-7-5, Si on three and on four neighbours, Si trimer), a grain boundary in 15 %, a hole in 15 % (half of
    them with Si at the edge) and an edge of the sheet in 8 %.

    Parameters
    ----------
    width_A, height_A
        Extent of the field in x and y [Å].
    rng
        Draws everything; the same state gives the same sheet.
    max_strain
        Largest element of the strain.

    Returns
    -------
    positions_A : numpy.ndarray
        x and y [Å], with shape (n_atoms, 2), float64; the field is 0 to `width_A` and 0 to `height_A`, and
        atoms up to `MARGIN_A` outside it are there too.
    species : numpy.ndarray
        C or Si, with shape (n_atoms,), str.

    Raises
    ------
    StructureError
        The field is empty.
    """
    if not (width_A > 0 and height_A > 0):
        raise StructureError("field of the sheet", f"{width_A} × {height_A} Å", "positive lengths")
    field_A = np.array([width_A, height_A])
    deformation = strain_matrix(tuple(rng.uniform(-max_strain, max_strain, 3)))
    # The sheet is built without strain over a field that still covers the one asked for when strained.
    built_A = field_A * (1.0 + 2.0 * max_strain) + 2.0 * (MARGIN_A + 3.0)
    sheet = _perfect(built_A, rng) if rng.random() < _PERFECT_CHANCE else _with_defects(built_A, rng)
    positions_A = (sheet.positions_A - built_A / 2.0) @ deformation.T + field_A / 2.0
    shown = ((positions_A >= -MARGIN_A) & (positions_A <= field_A + MARGIN_A)).all(axis=1)
    return positions_A[shown], sheet.species[shown]


def _perfect(field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    atoms = graphene_sheet(field_A[0], field_A[1], rng.uniform(0.0, 2.0 * np.pi), rng=rng)
    return bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))


def _with_defects(field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    if rng.random() < _GRAIN_BOUNDARY_CHANCE:
        corners_A = np.array([np.zeros(2), field_A])
        point_A = rng.uniform(0.25, 0.75, 2) * field_A
        sheet = grain_boundary(corners_A, point_A, rng.uniform(0.0, np.pi), tuple(rng.uniform(0.0, np.pi / 3.0, 2)))
    else:
        sheet = _perfect(field_A, rng)
    if rng.random() < _HOLE_CHANCE:
        sheet = _random_hole(sheet, field_A, rng)
    if rng.random() < _EDGE_CHANCE:
        sheet = _random_edge(sheet, field_A, rng)
    return _random_point_defects(sheet, field_A, rng)


def _random_hole(sheet: BondGraph, field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    """Cut a hole out of a few overlapping discs; silicon often decorates its edge."""
    centre_A, radius_A = rng.uniform(0.0, 1.0, 2) * field_A, rng.uniform(2.5, 8.0)
    discs_A = centre_A + rng.normal(0.0, 0.6 * radius_A, (rng.integers(1, 4), 2))
    for disc_A in discs_A:
        sheet = hole(sheet, disc_A, radius_A)
    if rng.random() < 0.5:
        near = (((sheet.positions_A[:, None] - discs_A) ** 2).sum(axis=2) < (radius_A + 2.0) ** 2).any(axis=1)
        rim = near & (sheet.coordination == 2)
        species = sheet.species.astype("<U2")
        species[rim & (rng.random(len(sheet)) < 0.2)] = "Si"
        sheet = BondGraph(sheet.positions_A, species, sheet.edges)
    return sheet


def _random_edge(sheet: BondGraph, field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    """Take away the sheet beyond a straight line through the outer part of the field."""
    angle_rad = rng.uniform(0.0, 2.0 * np.pi)
    outward = np.array([np.cos(angle_rad), np.sin(angle_rad)])
    beyond = (sheet.positions_A - field_A / 2.0) @ outward > rng.uniform(0.1, 0.5) * field_A.min()
    return without_dangling(without_atoms(sheet, np.flatnonzero(beyond)))


def _random_point_defects(sheet: BondGraph, field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    """Put point defects at random sites; a site without an intact neighbourhood stays as it is."""
    kinds: list[Defect] = [
        single_vacancy,
        lambda graph, atom: double_vacancy(graph, _a_bond(graph, atom, rng)),
        lambda graph, atom: stone_wales(graph, _a_bond(graph, atom, rng)),
        silicon_on_three,
        lambda graph, atom: silicon_on_four(graph, _a_bond(graph, atom, rng)),
        lambda graph, atom: silicon_trimer(graph, hexagon_at(graph, atom)),
    ]
    for _ in range(rng.poisson(_DEFECTS_PER_A2 * field_A.prod())):
        kind = kinds[rng.choice(len(kinds), p=[0.15, 0.15, 0.15, 0.25, 0.2, 0.1])]
        atom = atom_near(sheet, rng.uniform(0.0, 1.0, 2) * field_A) if len(sheet) else -1
        if atom >= 0 and _is_intact(sheet, atom):
            with suppress(StructureError):  # other rings than hexagons nearby: the site stays as it is
                sheet = kind(sheet, atom)
    return sheet


def _is_intact(sheet: BondGraph, atom: int) -> bool:
    """Whether the atoms within three bonds are carbon and, up to two bonds away, have three neighbours."""
    shell = {atom}
    for _ in range(3):
        if any(sheet.species[a] != "C" or sheet.coordination[a] != 3 for a in shell):
            return False
        shell = shell | {int(b) for a in shell for b in sheet.neighbours(a)}
    return bool((sheet.species[list(shell)] == "C").all())


def _a_bond(sheet: BondGraph, atom: int, rng: np.random.Generator) -> int:
    """Index of a random bond of an atom."""
    return int(rng.choice(np.flatnonzero((sheet.edges == atom).any(axis=1))))
