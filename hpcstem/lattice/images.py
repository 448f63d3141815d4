"""The images of a study: atoms that are read or made, on their sites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.lattice.alloy import Pairing, distortions, draw_alloy, seen_atoms
from hpcstem.lattice.assignment import AssignedSites, assign_sites
from hpcstem.lattice.model import MODELS
from hpcstem.lattice.study_config import LatticeStudy, MadeAlloySection


def image_atoms(study: LatticeStudy, seeds: list[np.random.SeedSequence]) -> list[AtomTable]:
    """Atoms of each image, those of the study's two species.

    Parameters
    ----------
    study
        Whose images.
    seeds
        Source of random numbers for each image.

    Raises
    ------
    AtomTableError
        A file of atoms cannot be read.
    StructureError
        It has no atoms of both species in that frame.
    """
    return [
        _made(image.name, image.made, study.species, seed)
        if image.made is not None
        else _read(Path(image.atoms or ""), image.frame, study.species)
        for image, seed in zip(study.images, seeds, strict=True)
    ]


def sites_of(name: str, atoms: AtomTable, species: tuple[str, str]) -> AssignedSites:
    """Put the atoms of one image on the sites of their lattice; see `assign_sites`."""
    with errors_naming(name):
        return assign_sites(atoms.positions_A, (atoms.species == species[1]).astype(np.int8))


@contextmanager
def errors_naming(image: str) -> Iterator[None]:
    """Say of which image an error speaks."""
    try:
        yield
    except StructureError as error:
        raise StructureError(f"image {image}: {error.thing}", error.got, error.wanted) from error


def _made(name: str, made: MadeAlloySection, species: tuple[str, str], seed: np.random.SeedSequence) -> AtomTable:
    chain, scene = seed.spawn(2)
    generator = np.random.default_rng(scene)
    grid = draw_alloy(MODELS[made.model](), np.array(made.weights), made.n_side, made.fraction_B, chain)
    angle_rad = float(np.deg2rad(made.angle_deg))
    displacement_A, _ = distortions(grid, Pairing(made.pairing_A, made.n_domains), angle_rad, generator)
    positions_A, kind = seen_atoms(
        grid, made.spacing_A, angle_rad, displacement_A, made.sigma_A, made.missed, generator
    )
    n_atoms = len(kind)
    x_A, y_A = positions_A.T
    return AtomTable(
        movie=np.full(n_atoms, name),
        frame=np.zeros(n_atoms),
        # One pixel per ångström: these atoms were never in an image.
        x_px=x_A,
        y_px=y_A,
        x_A=x_A,
        y_A=y_A,
        species=np.array(species)[kind],
        probability=np.ones(n_atoms),
        detection=np.ones(n_atoms),
        sigma_A=np.full(n_atoms, made.sigma_A),
        track=np.full(n_atoms, -1),
        metadata={"made": made.model_dump(mode="json")},
    )


def _read(path: Path, frame: int, species: tuple[str, str]) -> AtomTable:
    atoms = AtomTable.read(path).in_frame(frame)
    chosen = atoms[np.isin(atoms.species, species)]
    if set(chosen.species.tolist()) != set(species):
        raise StructureError(
            f"atoms of frame {frame} in {path}",
            f"species {sorted(set(atoms.species.tolist()))}",
            f"both {species[0]} and {species[1]}; the key `species:` names A and B",
        )
    return chosen
