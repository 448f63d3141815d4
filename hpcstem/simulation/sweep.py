"""A sweep expanded into jobs: everything is checked here, before anything is queued."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from hpcstem.errors import StructureError
from hpcstem.files import write_text
from hpcstem.simulation.constraints import Constraint, free_coordinates
from hpcstem.simulation.engine_settings import EngineSettings
from hpcstem.simulation.engines import get_engine
from hpcstem.simulation.jobs import NVT, RELAX, Job, JobTree, adsorbed_job, nvt_job, relax_job
from hpcstem.simulation.placement import Placement
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import to_xyz
from hpcstem.simulation.sweep_config import AdsorbateSection, PatchSection, StructureEntry, Sweep
from hpcstem.structure.adsorbates import Place, Pose, adsorbate, choose_site, isolated
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.cells import make_cell
from hpcstem.structure.defects_library import hole, without_atoms, without_dangling
from hpcstem.structure.graphene import graphene_sheet
from hpcstem.structure.rings import find_rings

SHEET, ADSORBED, ISOLATED = "sheet", "adsorbed", "isolated"
"""What a job of a sweep computes: the bare structure, one with an adsorbate, or the adsorbate alone."""

LEAST_VACUUM_A = 5.0
"""Emptiness between a sheet and its image along z [Å]; with less it is no sheet."""

Labels = dict[str, str]


@dataclass
class SweepPlan:
    """Jobs of a sweep, and the structures that they start from.

    Parameters
    ----------
    roots
        Relaxations of structures, by key.
    grown
        For each of them all that starts from it, directly or not, by key.
    structures
        Extended XYZ text by its SHA-256.
    samples
        For each engine and set of elements its settings and one structure, by both.
    """

    roots: dict[str, Job] = field(default_factory=dict)
    grown: dict[str, dict[str, Job]] = field(default_factory=dict)
    structures: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, frozenset[str]], tuple[EngineSettings, Atoms]] = field(default_factory=dict)

    @property
    def trees(self) -> dict[str, JobTree]:
        """Relaxations of structures by key, each with all that starts from it."""
        return {key: JobTree(root, tuple(self.grown[key].values())) for key, root in self.roots.items()}

    @property
    def jobs(self) -> list[Job]:
        """All jobs."""
        return [job for tree in self.trees.values() for job in (tree.root, *tree.children)]

    def add(
        self,
        atoms: Atoms,
        labels: Labels,
        relax: RelaxSettings,
        dynamics: Sequence[NVTSettings] = (),
    ) -> str:
        """Add a relaxation and what starts from it, the same job once; return the key of the relaxation."""
        text = to_xyz(atoms)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.structures[digest] = text
        self.samples[relax.engine.model_dump_json(), frozenset(atoms.get_chemical_symbols())] = relax.engine, atoms
        origin = {"path": structure_path(digest), "sha256": digest}
        job = relax_job(_named_by(labels), origin, relax, labels | {"kind": RELAX})
        self.roots.setdefault(job.key, job)
        self._grow(job.key, _dynamics(job, labels, dynamics))
        return job.key

    def add_adsorbed(
        self,
        placement: Placement,
        placed: Atoms,
        labels: Labels,
        relax: RelaxSettings,
        dynamics: Sequence[NVTSettings],
        references: Mapping[str, str],
    ) -> None:
        """Add the relaxation of an adsorbate on a sheet, and what starts from it.

        Parameters
        ----------
        placement
            What is put where, on the sheet that `references` names, once it is relaxed.
        placed
            The same on the sheet as given, for its elements.
        labels, relax, dynamics
            As of `add`.
        references
            Keys of the relaxations of the bare `sheet`, which is added already, and of the `isolated` adsorbate.
        """
        self.samples[relax.engine.model_dump_json(), frozenset(placed.get_chemical_symbols())] = relax.engine, placed
        sheet = references["sheet"]
        job = adsorbed_job(_named_by(labels), sheet, placement, relax, labels | {"kind": RELAX}, references)
        self._grow(sheet, [job, *_dynamics(job, labels, dynamics)])

    def _grow(self, root: str, jobs: Sequence[Job]) -> None:
        grown = self.grown.setdefault(root, {})
        for job in jobs:
            grown[job.key] = job

    def check_engines(self) -> None:
        """Ask each engine whether it has here what it needs for the elements that it will meet.

        Raises
        ------
        AbsentError
            A program, or the files of an element, are not on this machine.
        SimulationError
            An engine does not know an element.
        """
        for settings, atoms in self.samples.values():
            get_engine(settings).check(atoms)

    def write_structures(self, run_directory: Path) -> None:
        """Write the structures into the run directory; those that are there stay."""
        for digest, text in self.structures.items():
            path = run_directory / structure_path(digest)
            if not path.exists():
                write_text(path, text)


_IN_NAMES = ("structure", "adsorbate", "site", "near", "pose", "azimuth_deg", "engine", "constraint", "seed")


def _named_by(labels: Labels) -> str:
    return " ".join(labels[axis] for axis in _IN_NAMES if axis in labels)


def _dynamics(parent: Job, labels: Labels, dynamics: Sequence[NVTSettings]) -> list[Job]:
    name, found = _named_by(labels), []
    for settings in dynamics:
        own = labels | {"kind": NVT, "temperature_K": f"{settings.temperature_K:g}"}
        found.append(nvt_job(name, parent.key, settings, own, parent.references))
    return found


def structure_path(digest: str) -> str:
    """Return the place of a structure in the run directory."""
    return f"structures/{digest}.xyz"


def expand(sweep: Sweep, folder: Path) -> SweepPlan:
    """Return all jobs of a sweep.

    Sites are chosen on the structure as given, and adsorbates are put on it once it is relaxed. Each adsorbate alone,
    free of constraints, and each bare structure is computed once, however many energies of adsorption refer to it.

    Parameters
    ----------
    sweep
        The sweep.
    folder
        Folder that its paths are relative to.

    Raises
    ------
    ConfigError
        A setting is not allowed.
    StructureError
        A structure cannot be read or has no vacuum, a species is unknown, or an adsorbate overlaps.
    SimulationError
        Under a constraint nothing of a structure can move.
    """
    structures = {entry.name: read_entry(entry, folder) for entry in sweep.structures}
    species = {one: adsorbate(_named(one, folder)) for part in sweep.adsorbates for one in part.species}
    adsorbed = {
        name: [placed for part in sweep.adsorbates for placed in _adsorbed(part, atoms, species)]
        for name, atoms in structures.items()
    }
    periodic = any(atoms.pbc.any() for atoms in structures.values())
    plan = SweepPlan()
    for labels, relax, dynamics in sweep.settings():
        labels = {"sweep": sweep.name} | labels
        alone = relax.model_copy(update={"constraint": Constraint.NONE, "fixed": ()})
        isolated_keys = {}
        for one, atoms in species.items():
            own = labels | {"role": ISOLATED, "adsorbate": Path(one).stem, "constraint": str(Constraint.NONE)}
            isolated_keys[Path(one).stem] = plan.add(isolated(atoms, periodic=periodic), own, alone)
        for name, atoms in structures.items():
            free_coordinates(atoms, relax.constraint, relax.fixed)
            own = labels | {"structure": name}
            bare = plan.add(atoms, own | {"role": SHEET}, relax, dynamics)
            for place, placement, placed, moves in adsorbed[name]:
                references = {"sheet": bare, "isolated": isolated_keys[place["adsorbate"]]}
                there = own | {"role": ADSORBED} | place
                plan.add_adsorbed(placement, placed, there, relax, dynamics if moves else (), references)
    return plan


def read_entry(entry: StructureEntry, folder: Path) -> Atoms:
    """Return one structure of a sweep.

    Raises
    ------
    StructureError
        It cannot be read, has no sheet or no vacuum.
    """
    if entry.patch is not None:
        return round_patch(entry.patch)
    from ase.io import read

    path = folder / str(entry.file)
    try:
        found = read(path, index=-1)
    except Exception as error:  # the readers of the many formats raise many kinds
        raise StructureError(f"structure {entry.name}: cannot read {path}", error, "a structure file") from error
    if not isinstance(found, Atoms):
        raise StructureError(f"structure {entry.name}: {path}", type(found).__name__, "a file with one structure")
    atoms = Atoms(found.get_chemical_symbols(), found.positions, cell=found.cell, pbc=found.pbc)
    check_vacuum(entry.name, atoms)
    return atoms


def check_vacuum(name: str, atoms: Atoms) -> None:
    """Refuse a structure that its image along z comes near.

    Raises
    ------
    StructureError
        Less than `LEAST_VACUUM_A` lies between them, or a repeating structure has no cell.
    """
    if not atoms.pbc[2] and atoms.cell.rank in (0, 3):
        return
    if atoms.cell.rank < 3:
        raise StructureError(f"cell of structure {name}", f"{atoms.cell.rank} vectors", "three, with vacuum along z")
    normal = np.cross(atoms.cell[0], atoms.cell[1])
    height_A = abs(float(atoms.cell[2] @ normal)) / float(np.linalg.norm(normal))
    heights_A = np.sort((atoms.positions @ normal / np.linalg.norm(normal)) % height_A)
    gap_A = float(np.diff(np.append(heights_A, heights_A[0] + height_A)).max())
    if gap_A < LEAST_VACUUM_A:
        wanted = f"at least {LEAST_VACUUM_A:g} Å along z"
        raise StructureError(f"vacuum of structure {name}", f"{gap_A:.2f} Å", wanted)


def round_patch(patch: PatchSection) -> Atoms:
    """Return a round patch of graphene with hydrogen at its edges."""
    # 2.62 Å² per atom, and room for what dangles at the edge of the disc.
    side_A = 2 * (np.sqrt(patch.atoms * 2.62 / np.pi + patch.hole_radius_A**2) + 6.0)
    sheet = graphene_sheet(side_A, side_A)
    graph = bond_graph(sheet.positions[:, :2], np.array(sheet.get_chemical_symbols()))
    rings = find_rings(graph)
    centres_A = graph.positions_A[rings.atoms.reshape(-1, 6)].mean(axis=1)
    # About the middle of a ring both the patch and its hole are round.
    middle_A = centres_A[((centres_A - side_A / 2) ** 2).sum(axis=1).argmin()]
    if patch.hole_radius_A > 0:
        graph = hole(graph, middle_A, patch.hole_radius_A)
    order = np.argsort(((graph.positions_A - middle_A) ** 2).sum(axis=1), kind="stable")
    for taken in range(patch.atoms, len(order) + 1):
        kept = without_dangling(without_atoms(graph, order[taken:]))
        if len(kept) >= patch.atoms:
            return make_cell(kept.positions_A, kept.species, vacuum_in_plane_A=patch.vacuum_A)
    raise StructureError("patch", f"{len(kept)} atoms at most", f"{patch.atoms} atoms")


def _named(species: str, folder: Path) -> str | Path:
    path = folder / species
    return path if species not in atomic_numbers and path.is_file() else species


def _adsorbed(
    part: AdsorbateSection, atoms: Atoms, species: Mapping[str, Atoms]
) -> Iterator[tuple[Labels, Placement, Atoms, bool]]:
    """Yield labels, what is put where, the same on the structure as given, and whether it runs through the dynamics."""
    for one in part.species:
        adsorbed = species[one]
        single = len(adsorbed) == 1
        for kind in part.sites:
            for near in part.near:
                site = choose_site(atoms, kind, near)
                where = str(near) if isinstance(near, Place) else f"{near[0]:g},{near[1]:g}"
                for pose in (Pose.UP,) if single else part.poses:
                    for azimuth_deg in (0.0,) if single else part.azimuths_deg:
                        labels = {"adsorbate": Path(one).stem, "site": str(kind), "near": where}
                        if not single:
                            labels |= {"pose": str(pose), "azimuth_deg": f"{azimuth_deg:g}"}
                        placement = Placement(
                            adsorbate=to_xyz(adsorbed),
                            site=kind,
                            atoms=tuple(site.atoms.tolist()),
                            pose=pose,
                            azimuth_deg=azimuth_deg,
                            height_A=part.height_A,
                        )
                        yield labels, placement, placement.on(atoms), part.dynamics
