import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcstem.errors import StructureError
from hpcstem.lattice.alloy import seen_atoms
from hpcstem.lattice.assignment import assign_sites
from hpcstem.lattice.triangular import EMPTY, SiteGrid, lattice_vectors


def sheet(n_i, n_j, seed, spacing_A=3.2, angle_rad=0.1, displacement_A=0.0, sigma_A=0.0, missed=0.0):
    generator = np.random.default_rng(seed)
    grid = SiteGrid(generator.integers(0, 2, (n_i, n_j)), periodic=False)
    shifts = np.broadcast_to(displacement_A, (n_i, n_j, 2))
    return grid, *seen_atoms(grid, spacing_A, angle_rad, shifts, sigma_A, missed, generator)


def turned(grid, steps):
    """Sites of a grid after its axes were turned by 60° times `steps`, as a set of (offset from the first, species)."""
    sites = np.argwhere(grid.species != EMPTY)
    species = grid.species[grid.species != EMPTY]
    for _ in range(steps):
        sites = np.column_stack([-sites[:, 1], sites[:, 0] + sites[:, 1]])
    sites = sites - sites.min(axis=0)
    return {(int(i), int(j), int(s)) for (i, j), s in zip(sites, species, strict=True)}


@given(
    n_i=st.integers(6, 14),
    n_j=st.integers(6, 14),
    seed=st.integers(0, 2**32 - 1),
    spacing_A=st.floats(1.0, 20.0),
    angle_rad=st.floats(-3.0, 3.0),
)
@settings(max_examples=60)
def test_every_atom_finds_its_site(n_i, n_j, seed, spacing_A, angle_rad):
    grid, positions_A, species = sheet(n_i, n_j, seed, spacing_A, angle_rad, sigma_A=0.04 * spacing_A)
    found = assign_sites(positions_A, species)
    assert found.n_left_out == 0
    assert turned(found.grid, 0) in [turned(grid, steps) for steps in range(6)]
    assert np.linalg.norm(found.vectors_A, axis=1) == pytest.approx([spacing_A] * 2, rel=0.05)


def test_missing_atoms_are_empty_sites():
    grid, positions_A, species = sheet(40, 40, 5, sigma_A=0.1, missed=0.1)
    found = assign_sites(positions_A, species)
    assert found.n_left_out == 0
    assert found.contradictions == 0
    assert (found.atom >= 0).sum() == len(species) < grid.species.size
    held = found.atom >= 0
    np.testing.assert_array_equal(found.grid.species[held], species[found.atom[held]])


def test_displacements_are_recovered():
    generator = np.random.default_rng(1)
    displacement_A = generator.normal(0, 0.3, (30, 30, 2))
    _, positions_A, species = sheet(30, 30, 2, angle_rad=0.05, displacement_A=displacement_A)
    found = assign_sites(positions_A, species)
    # The lattice that fits best takes their mean and their mean strain.
    sites = np.indices((30, 30)).reshape(2, -1).T
    design = np.column_stack([sites, np.ones(900)])
    flat_A = displacement_A.reshape(900, 2)
    left_A = flat_A - design @ np.linalg.lstsq(design, flat_A, rcond=None)[0]
    np.testing.assert_allclose(found.displacement_A, left_A.reshape(30, 30, 2), atol=1e-9)
    ideal_A = found.origin_A + sites @ found.vectors_A
    np.testing.assert_allclose((ideal_A.reshape(30, 30, 2) + found.displacement_A)[3, 7], positions_A[found.atom[3, 7]])


def test_a_slow_strain_moves_no_atom_to_another_site():
    i, j = np.indices((60, 60))
    bend_A = np.stack([0.004 * (i - 30.0) ** 2, 0.003 * (j - 30.0) ** 2], axis=-1)
    grid, positions_A, species = sheet(60, 60, 3, displacement_A=bend_A)
    found = assign_sites(positions_A, species)
    assert np.abs(bend_A).max() > 3.2
    np.testing.assert_array_equal(found.grid.species, grid.species)


def test_a_second_atom_on_a_site_is_left_out():
    _, positions_A, species = sheet(12, 12, 4, sigma_A=0.02)
    twin_A = positions_A[:1] + 0.6
    found = assign_sites(np.concatenate([positions_A, twin_A]), np.append(species, 0))
    assert found.n_left_out == 1
    assert len(species) not in found.atom


def test_a_dislocation_is_refused():
    n = 40
    i, j = np.indices((n, n))
    places = np.stack([i, j], axis=-1).reshape(-1, 2) @ lattice_vectors(3.2, 0.0)
    x, y = (places - places.mean(axis=0)).T
    burgers = np.arctan2(y - 0.7, x - 0.7) / (2 * np.pi)
    positions_A = places + burgers[:, None] * lattice_vectors(3.2, 0.0)[0]
    with pytest.raises(StructureError, match="contradict"):
        assign_sites(positions_A, np.zeros(n * n, int))


def square(n):
    return 3.0 * np.stack(np.indices((n, n)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(
    ("positions_A", "message"),
    [
        (square(12), "sixfold order"),
        (np.random.default_rng(0).uniform(0, 50, (300, 2)), "sixfold order"),
        (np.zeros((3, 2)), "at least 7 atoms"),
        (np.full((9, 2), np.nan), "finite"),
        (np.column_stack([3.0 * np.arange(20), np.zeros(20)]), "one row"),
    ],
)
def test_atoms_without_a_triangular_lattice_are_refused(positions_A, message):
    with pytest.raises(StructureError, match=message):
        assign_sites(positions_A, np.zeros(len(positions_A), int))


def test_a_fraction_missed_beyond_one_is_refused():
    with pytest.raises(StructureError, match="fraction of atoms missed"):
        sheet(6, 6, 0, missed=1.0)
