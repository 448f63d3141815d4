"""A movie of known truth: point defects of graphene that change into each other and hop over the lattice.

Transitions and hops follow the matrix and the chance given; nothing here claims to be a model of what a beam does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hpcstem.atoms import NO_TRACK, AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.structure.bonds import BondGraph, bond_graph
from hpcstem.structure.defects import DefectKind
from hpcstem.structure.defects_library import atom_near, double_vacancy, silicon_on_four, stone_wales
from hpcstem.structure.graphene import CC_BOND_A, LATTICE_CONSTANT_A, graphene_sheet, rotation

_MAKERS: dict[DefectKind, Callable[[BondGraph, int], BondGraph]] = {
    DefectKind.SILICON_ON_FOUR: silicon_on_four,
    DefectKind.DOUBLE_VACANCY: double_vacancy,
    DefectKind.STONE_WALES: stone_wales,
}
"""Defects that sit on the middle of a bond: one that changes into another stays where it is."""
CLASSES = tuple(kind.value for kind in _MAKERS)
"""Names of the classes, in the order of the rows of the matrix."""
_PATCH_A = 9.5
"""Atoms within this distance of a defect are those of its patch; relaxation does not reach farther [Å]."""
_APART_A = 17.0
"""Least distance of two defects [Å]."""
_START_A = 17.0
"""Least distance from the edge of the field at which a defect starts [Å]; later it may leave."""
_PIXEL_SIZE_A = 0.1
_OBSCURED_A = 4.5
"""Radius of the spot in which no atom is seen when a defect is missed [Å]."""


def checked_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return a transition matrix, float64, that is square, non-negative and has rows that sum to 1 within 1e-6.

    Raises
    ------
    HpcstemError
        It is not.
    """
    try:
        matrix = np.asarray(matrix, np.float64)
    except ValueError as error:
        raise HpcstemError("transition matrix", error, "rows of equal length") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise HpcstemError("transition matrix", f"shape {matrix.shape}", "a square matrix")
    if (matrix < 0).any() or not np.allclose(matrix.sum(axis=1), 1.0, atol=1e-6):
        raise HpcstemError("transition matrix", matrix.tolist(), "entries of 0 or more, rows that sum to 1")
    return matrix


@dataclass(frozen=True)
class DefectMovie:
    """Recipe of a movie.

    Parameters
    ----------
    n_frames
        Frames.
    field_A
        Width and height of the frames [Å].
    n_defects
        Defects at the start, fewer where there is no room.
    hop
        Chance that a defect moves by a lattice vector between two frames.
    missing
        Share of the frames in which a defect is hidden under contamination.
    noise_A
        Standard deviation of each atom's position, per axis [Å].
    drift_A_per_frame
        Drift of the sheet in x and y [Å].
    """

    n_frames: int
    field_A: float
    n_defects: int
    hop: float
    missing: float
    noise_A: float
    drift_A_per_frame: tuple[float, float] = (0.0, 0.0)

    @property
    def diffusion_A2_per_frame(self) -> float:
        """Diffusion coefficient of the hops, a quarter of the mean squared step [Å² per frame]."""
        return self.hop * float(LATTICE_CONSTANT_A) ** 2 / 4.0


def simulate_defects(name: str, matrix: np.ndarray, recipe: DefectMovie, seed: np.random.SeedSequence) -> AtomTable:
    """Atoms of a movie, not linked.

    Parameters
    ----------
    name
        Name of the movie.
    matrix
        Probability of class j in the frame after class i, in the order of `CLASSES`, with shape (3, 3).
    recipe
        The rest.
    seed
        Source of all randomness.

    Raises
    ------
    HpcstemError
        The matrix has another shape, or the field has no room for a defect.
    """
    if checked_matrix(matrix).shape != (len(CLASSES), len(CLASSES)):
        raise HpcstemError("matrix of the simulated defects", np.shape(matrix), f"a row for each of {CLASSES}")
    rng = np.random.default_rng(seed)
    angle_rad = float(rng.uniform(0.0, np.pi / 3.0))
    turn = rotation(angle_rad)
    patches = [_patches(maker, turn) for maker in _MAKERS.values()]
    # The lattice has an atom on the origin, so has the middle of a patch: they fit after any lattice vector.
    reach_A = recipe.field_A + 4.0 * _PATCH_A
    lattice_A = graphene_sheet(reach_A, reach_A, angle_rad).positions[:, :2]
    tables = []
    for frame, (classes, bonds, origins_A, seen) in enumerate(_history(np.asarray(matrix), recipe, turn, rng)):
        kept = np.ones(len(lattice_A), bool)
        parts, species = [], []
        for state, bond, origin_A, visible in zip(classes, bonds, origins_A, seen, strict=True):
            centre_A, patch_A, symbols = patches[state][bond]
            kept &= ((lattice_A - centre_A - origin_A) ** 2).sum(axis=1) > _PATCH_A**2
            shown = visible | (((patch_A - centre_A) ** 2).sum(axis=1) > _OBSCURED_A**2)
            parts.append(patch_A[shown] + origin_A)
            species.append(symbols[shown])
        positions_A = np.concatenate([lattice_A[kept], *parts]) - 2.0 * _PATCH_A
        positions_A += frame * np.array(recipe.drift_A_per_frame) + rng.normal(0.0, recipe.noise_A, positions_A.shape)
        tables.append(_table(name, frame, positions_A, np.concatenate([np.full(kept.sum(), "C"), *species]), recipe))
    return AtomTable.concatenate(tables)


def _patches(
    maker: Callable[[BondGraph, int], BondGraph], turn: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Centre, positions and species of a defect on each of the three bonds of the atom on the origin."""
    side_A = 4.0 * _PATCH_A
    atoms = graphene_sheet(side_A, side_A)
    sheet = bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()))
    middle = atom_near(sheet, np.array([side_A, side_A]) / 2.0)
    upward = sheet.positions_A[sheet.neighbours(middle), 1] > sheet.positions_A[middle, 1]
    if upward.sum() != 2:
        # The atom on the origin of the lattice has two of its three bonds upward, those of the other kind have one.
        middle = int(sheet.neighbours(middle)[0])
    patches = []
    for bond in np.flatnonzero((sheet.edges == middle).any(axis=1)).tolist():
        centre_A = sheet.positions_A[sheet.edges[bond]].mean(axis=0)
        made = maker(sheet, bond)
        near = ((made.positions_A - centre_A) ** 2).sum(axis=1) <= _PATCH_A**2
        origin_A = sheet.positions_A[middle]
        patches.append(
            ((centre_A - origin_A) @ turn.T, (made.positions_A[near] - origin_A) @ turn.T, made.species[near])
        )
    return patches


def _history(
    matrix: np.ndarray, recipe: DefectMovie, turn: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Classes, bonds, origins [Å] and visibility of the defects, frame by frame."""
    angles_rad = np.arange(6) * np.pi / 3.0
    steps_A = LATTICE_CONSTANT_A * np.column_stack([np.cos(angles_rad), np.sin(angles_rad)]) @ turn.T
    span = int(2.0 * recipe.field_A / LATTICE_CONSTANT_A) + 20
    grid = np.stack(np.meshgrid(np.arange(-span, span), np.arange(-span, span)), -1).reshape(-1, 2)
    places_A = grid @ steps_A[:2]
    from_edge_A = np.minimum(places_A, 4.0 * _PATCH_A + recipe.field_A - places_A).min(axis=1) - 2.0 * _PATCH_A
    places_A = rng.permutation(places_A[from_edge_A > _START_A])
    origins_A = np.empty((0, 2))
    for place_A in places_A:
        if len(origins_A) < recipe.n_defects and _room(place_A, origins_A):
            origins_A = np.append(origins_A, place_A[None], axis=0)
    if not len(origins_A):
        raise HpcstemError("field of the simulated movie", f"{recipe.field_A} Å", f"more than {2 * _START_A} Å")
    n = len(origins_A)
    classes, bonds = rng.integers(len(matrix), size=n), rng.integers(3, size=n)
    for frame in range(recipe.n_frames):
        if frame:
            classes = np.array([rng.choice(len(matrix), p=matrix[state]) for state in classes])
            for k in np.flatnonzero(rng.random(n) < recipe.hop):
                # A hop that has no room goes another way, so that as many hops are made as the recipe says.
                others_A = np.delete(origins_A, k, axis=0)
                for step_A in rng.permutation(steps_A):
                    moved_A = origins_A[k] + step_A
                    if _room(moved_A, others_A):
                        origins_A[k] = moved_A
                        break
        yield classes, bonds, origins_A, rng.random(n) >= recipe.missing


def _room(place_A: np.ndarray, others_A: np.ndarray) -> bool:
    return bool((((others_A - place_A) ** 2).sum(axis=1) > (_APART_A + 2.0 * CC_BOND_A) ** 2).all())


def _table(name: str, frame: int, positions_A: np.ndarray, species: np.ndarray, recipe: DefectMovie) -> AtomTable:
    inside = ((positions_A >= 0.0) & (positions_A <= recipe.field_A)).all(axis=1)
    x_A, y_A = positions_A[inside].T
    n = int(inside.sum())
    return AtomTable(
        movie=np.full(n, name),
        frame=np.full(n, frame),
        x_px=x_A / _PIXEL_SIZE_A,
        y_px=y_A / _PIXEL_SIZE_A,
        x_A=x_A,
        y_A=y_A,
        species=species[inside],
        probability=np.ones(n),
        detection=np.ones(n),
        sigma_A=np.full(n, recipe.noise_A),
        track=np.full(n, NO_TRACK),
    )
