"""Library of defects: every defect that was found, once for each structure, with counts, mean image and energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
from scipy.ndimage import map_coordinates

from hpcstem.errors import HpcstemError
from hpcstem.kinetics.environment import Environment, Overlay, cut_out, overlay
from hpcstem.kinetics.sightings import Sighting
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.defects import edge_atoms, find_defects
from hpcstem.structure.rings import find_rings


@dataclass(frozen=True, eq=False)
class LibraryEntry:
    """One structure of the library.

    Parameters
    ----------
    name
        Name of its bond graph, with a number where one graph comes in several geometries.
    kind
        What the defect is called.
    environment
        Mean positions over all sightings, laid over the first of them.
    seen
        Movie and frame of each sighting, in their order.
    spread_A
        Root-mean-square distance of the atoms of the sightings from the mean, in the plane [Å].
    image
        Mean image, turned as the environment, with shape (n, n), float32; None without frames.
    energy_eV
        Energy of the defect in a relaxed cell, see `with_energies` [eV]; None where there is none.
    energy_source
        Name of the calculation it is from; empty where there is none.
    """

    name: str
    kind: str
    environment: Environment
    seen: tuple[tuple[str, int], ...]
    spread_A: float
    image: np.ndarray | None = None
    energy_eV: float | None = None
    energy_source: str = ""

    @property
    def count(self) -> int:
        """Number of sightings."""
        return len(self.seen)


@dataclass(frozen=True)
class BuildLibrary:
    """Analysis that collects defects: a batch is the sightings of a movie, or of a part of its frames.

    Partial results keep every sighting: whether two geometries are alike within a tolerance is not transitive, and
    only the whole list in its order gives the same library however the work was divided.

    Parameters
    ----------
    tolerance_A
        Largest root-mean-square distance of the atoms of two defects of the same bond graph, turned and mirrored
        as fits best, that are still the same [Å].
    """

    tolerance_A: float

    def process(self, batch: Sequence[Sighting]) -> tuple[Sighting, ...]:
        """Return the sightings."""
        return tuple(batch)

    def merge(self, left: tuple[Sighting, ...], right: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        """Join the sightings of two parts."""
        return left + right

    def finish(self, partial: tuple[Sighting, ...]) -> list[LibraryEntry]:
        """Put every sighting to the first one of the same structure; entries by count, most frequent first."""
        groups: dict[object, list[_Group]] = {}
        for sighting in partial:
            same_graph = groups.setdefault(sighting.environment.canonical.code, [])
            for group in same_graph:
                laid = overlay(sighting.environment, group.first.environment)
                if laid is not None and laid.rms_A <= self.tolerance_A:
                    group.members.append((sighting, laid))
                    break
            else:
                laid = overlay(sighting.environment, sighting.environment)
                assert laid is not None  # noqa: S101 - a graph has its own code
                same_graph.append(_Group(sighting, [(sighting, laid)]))
        entries = []
        for same_graph in groups.values():
            ranked = sorted(same_graph, key=lambda group: -len(group.members))
            entries += [group.entry(f"-{k + 1}" if len(ranked) > 1 else "") for k, group in enumerate(ranked)]
        return sorted(entries, key=lambda entry: (-entry.count, entry.name))


@dataclass(frozen=True, eq=False)
class _Group:
    """Sightings of one structure, each laid over the first."""

    first: Sighting
    members: list[tuple[Sighting, Overlay]]

    def entry(self, suffix: str) -> LibraryEntry:
        laid_A = np.array([s.environment.positions_A[o.order] @ o.rotation + o.shift_A for s, o in self.members])
        mean_A = laid_A.mean(axis=0)
        images = [_laid_image(s.image, o) for s, o in self.members if s.image is not None]
        return LibraryEntry(
            self.first.environment.graph_name + suffix,
            self.first.kind,
            replace(self.first.environment, positions_A=mean_A),
            tuple((s.movie, s.frame) for s, _ in self.members),
            float(np.sqrt(((laid_A - mean_A) ** 2).sum(axis=2).mean())),
            np.asarray(np.mean(images, axis=0), np.float32) if images else None,
        )


def with_energies(
    library: Iterable[LibraryEntry],
    structures: Iterable[tuple[str, ase.Atoms, float]],
    reference_eV: Mapping[str, float],
    n_shells: int,
) -> list[LibraryEntry]:
    """Entries with the energy of the calculated cells that hold the same defect and no other.

    Parameters
    ----------
    library
        Entries.
    structures
        Name, relaxed cell in the x-y plane and total energy of each calculation [eV].
    reference_eV
        Energy of one atom of each species in its reference, such as graphene for C [eV]. What is reported is the
        total energy less that of the references: the formation energy, where the cell has no other edges.
    n_shells
        As the library was made with.

    Returns
    -------
    list[LibraryEntry]
        The same entries; the lowest energy where several cells hold the same bond graph.

    Raises
    ------
    HpcstemError
        A species has no reference.
    """
    lowest: dict[object, tuple[float, str]] = {}
    for name, atoms, total_eV in structures:
        unknown = sorted(set(atoms.get_chemical_symbols()) - reference_eV.keys())
        if unknown:
            raise HpcstemError("reference energies", f"none for {unknown[0]}", f"`{unknown[0]}: energy of one atom`")
        code = _only_defect(atoms, n_shells)
        energy_eV = total_eV - sum(reference_eV[symbol] for symbol in atoms.get_chemical_symbols())
        if code is not None and (code not in lowest or energy_eV < lowest[code][0]):
            lowest[code] = (energy_eV, name)
    entries = []
    for entry in library:
        found = lowest.get(entry.environment.canonical.code)
        entries.append(entry if found is None else replace(entry, energy_eV=found[0], energy_source=found[1]))
    return entries


def _only_defect(atoms: ase.Atoms, n_shells: int) -> object | None:
    """Canonical code of the only defect of a cell; None where there are more, none, or it is not seen whole."""
    cell_A = atoms.cell.array[:2, :2] if atoms.pbc[:2].all() else None
    graph = bond_graph(atoms.positions[:, :2], np.array(atoms.get_chemical_symbols()), cell_A)
    rings = find_rings(graph)
    defects = find_defects(graph, rings)
    if len(defects) != 1:
        return None
    found = cut_out(graph, edge_atoms(graph, rings), defects[0].atoms, defects[0].centre_A, n_shells)
    return None if found is None else found.canonical.code


def _laid_image(image: np.ndarray, laid: Overlay) -> np.ndarray:
    """Image turned as the atoms, on the inner part that every turn covers, with shape (n, n), float32.

    It turns about the centre of the defect, which a turn of the atoms leaves in place.
    """
    inner = inner_pixels(len(image))
    offset = np.arange(inner) - (inner - 1) / 2.0
    columns, rows = np.meshgrid(offset, offset)
    # A pixel of the turned image is looked up where it came from; rotation matrices act on (x, y) = (column, row).
    source = np.stack([columns.ravel(), rows.ravel()], axis=1) @ laid.rotation.T
    middle = (len(image) - 1) / 2.0
    values = map_coordinates(image, [source[:, 1] + middle, source[:, 0] + middle], order=1, mode="nearest")
    return values.reshape(inner, inner).astype(np.float32)


def inner_pixels(outer_pixels: int) -> int:
    """Pixels across the square that stays inside an image of `outer_pixels` across however it is turned."""
    return int(outer_pixels / np.sqrt(2.0))
