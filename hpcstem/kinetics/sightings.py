"""Defects seen in the frames of a movie, each with its surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.kinetics.environment import Environment, cut_out
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects import DefectKind, edge_atoms, find_defects
from hpcstem.structure.rings import find_rings


@dataclass(frozen=True, eq=False)
class Sighting:
    """One defect in one frame.

    Parameters
    ----------
    movie, frame
        Where it was seen.
    kind
        What it is called.
    centre_A
        Its centre in the frame, x and y [Å], with shape (2,), float64.
    environment
        Its atoms and those around, from that centre.
    image
        Image around that centre, as `hpcstem.kinetics.images.crops` takes it, with shape (n, n), float32; None
        without frames.
    """

    movie: str
    frame: int
    kind: str
    centre_A: np.ndarray
    environment: Environment
    image: np.ndarray | None = None


def sightings(
    movie: AtomTable, n_shells: int, edge_margin_A: float, field_A: tuple[float, float] | None = None
) -> list[Sighting]:
    """Defects of every frame whose surroundings were seen whole; holes, which are all different, are left out.

    Parameters
    ----------
    movie
        Atoms of one movie.
    n_shells
        Shells of bonded atoms around each defect that belong to its environment.
    edge_margin_A
        Least distance of a defect from the atoms at the edge of what was seen [Å]. A large defect is lost nearer to
        the middle than a small one; where that happens, what a class changes into decides whether it is seen, and
        counts of transitions are biased. The margin must be more than the reach of the largest class.
    field_A
        Width and height of the frames [Å]; without them only the rim of the sheet counts as edge.

    Returns
    -------
    list[Sighting]
        In the order of frames, and in each of `hpcstem.structure.defects.find_defects`.
    """
    found = []
    for frame in np.unique(movie.frame).tolist():
        atoms = movie.in_frame(frame)
        graph = bond_graph(atoms.positions_A, atoms.species)
        rings = find_rings(graph)
        edge = edge_atoms(graph, rings, field_A)
        for defect in find_defects(graph, rings, field_A=field_A):
            if defect.kind is DefectKind.HOLE or _distance_A(graph.positions_A[edge], defect.centre_A) < edge_margin_A:
                continue
            environment = cut_out(graph, edge, defect.atoms, defect.centre_A, n_shells)
            if environment is not None:
                found.append(Sighting(str(atoms.movie[0]), frame, defect.kind.value, defect.centre_A, environment))
    return found


def _distance_A(atoms_A: np.ndarray, centre_A: np.ndarray) -> float:
    return float(np.linalg.norm(atoms_A - centre_A, axis=1).min(initial=np.inf))
