"""A sheet of graphene with silicon and a hole that an electron beam changes step by step: a movie of known truth.

The events are those seen in such movies [1]_: silicon hops to a neighbouring site, atoms at a hole's edge are knocked
out, bonds turn. Their rates are parameters; nothing here claims to be a model of beam damage.

References
----------
.. [1] O. Dyck et al., Nature Reviews Materials 4 (2019) 497. doi:10.1038/s41578-019-0118-z
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects_library import (
    atom_near,
    hole,
    relaxed_around,
    silicon_on_three,
    stone_wales,
    without_atoms,
    without_dangling,
)
from hpcstem.structure.graphene import graphene_sheet

_MARGIN_A = 6.0


def evolving_sheet(
    field_A: tuple[float, float],
    n_frames: int,
    n_silicon: int,
    hole_radius_A: float,
    events_per_frame: float,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions and species, frame by frame.

    Parameters
    ----------
    field_A
        Width and height of the field of view [Å].
    n_frames
        Frames to yield.
    n_silicon
        Silicon atoms on three neighbours inside the field at the start.
    hole_radius_A
        Radius of a hole at a random place in the field [Å]; none at 0.
    events_per_frame
        Mean number of changes between two frames.
    rng
        Source of all randomness.

    Yields
    ------
    positions_A : numpy.ndarray
        (x, y) [Å] in the field's coordinates, atoms outside the field too, with shape (n_atoms, 2), float64.
    species : numpy.ndarray
        With shape (n_atoms,).
    """
    extent_A = np.array(field_A) + 2 * _MARGIN_A
    atoms = graphene_sheet(extent_A[0], extent_A[1], rng.uniform(0, np.pi / 3), rng=rng)
    sheet = bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))
    if hole_radius_A > 0:
        sheet = hole(sheet, _MARGIN_A + rng.uniform(0.25, 0.75, 2) * field_A, hole_radius_A)
    placed = 0
    for _ in range(50 * n_silicon):
        if placed == n_silicon:
            break
        site = atom_near(sheet, _MARGIN_A + rng.uniform(0.15, 0.85, 2) * field_A)
        changed = _attempt(silicon_on_three, sheet, site)
        placed += changed is not sheet
        sheet = changed
    for frame in range(n_frames):
        for _ in range(rng.poisson(events_per_frame) if frame else 0):
            sheet = beam_event(sheet, _MARGIN_A, np.array(field_A), rng)
        yield sheet.positions_A - _MARGIN_A, sheet.species.copy()


def beam_event(sheet: BondGraph, margin_A: float, field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    """Change a sheet once: silicon hops, an atom at an edge is knocked out, or a bond turns.

    Parameters
    ----------
    sheet
        What is there.
    margin_A
        Distance from the sheet's corner to the field's, along x and along y [Å].
    field_A
        Width and height of the field, where changes happen [Å], with shape (2,).
    rng
        Source of all randomness.
    """
    kind = rng.choice(["hop", "knock-out", "turn"], p=[0.5, 0.35, 0.15])
    inside = ((sheet.positions_A > margin_A) & (sheet.positions_A < margin_A + field_A)).all(axis=1)
    silicon = np.flatnonzero(inside & (sheet.species == "Si"))
    if kind == "hop" and len(silicon):
        return _hop(sheet, int(rng.choice(silicon)), rng)
    rim = np.flatnonzero(inside & (sheet.species == "C") & (sheet.coordination == 2))
    if kind == "knock-out" and len(rim):
        atom = int(rng.choice(rim))
        return relaxed_around(without_dangling(without_atoms(sheet, np.array([atom]))), sheet.positions_A[atom])
    middle = atom_near(sheet, margin_A + rng.uniform(0.15, 0.85, 2) * field_A)
    bonds = np.flatnonzero((sheet.edges == middle).any(axis=1))
    return _attempt(stone_wales, sheet, int(rng.choice(bonds)))


def _hop(sheet: BondGraph, silicon: int, rng: np.random.Generator) -> BondGraph:
    """Silicon and a neighbouring carbon change places."""
    neighbours = [b for b in sheet.neighbours(silicon) if sheet.species[b] == "C" and sheet.coordination[b] == 3]
    if not neighbours:
        return sheet
    partner = int(rng.choice(neighbours))
    species = sheet.species.copy()
    species[[silicon, partner]] = species[[partner, silicon]]
    return relaxed_around(BondGraph(sheet.positions_A, species, sheet.edges), sheet.positions_A[partner])


def _attempt(change: Callable[[BondGraph, int], BondGraph], sheet: BondGraph, site: int) -> BondGraph:
    """Return the changed sheet, or the same one where the site's surroundings do not allow the change."""
    try:
        return change(sheet, site)
    except StructureError:
        return sheet
