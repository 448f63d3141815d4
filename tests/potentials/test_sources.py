from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sheets import atom_table

from hpcstem.errors import AtomTableError, StructureError
from hpcstem.potentials.sources import open_trajectory
from hpcstem.potentials.weights import atom_weights

SYMBOLS = ("C", "Si")
N_FRAMES, N_ATOMS = 9, 20


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(1)
    home_A = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), -1).reshape(-1, 2) * 1.5 + 1
    positions_A = home_A + 0.05 * rng.standard_normal((N_FRAMES, N_ATOMS, 2))
    return positions_A, np.array(["C", "C", "Si", "C"] * 5), np.array([7.5, 6.0])


def centred(frames_A):
    return frames_A - frames_A.mean(axis=1, keepdims=True)


def same(source, arrays, first=2, stop=6, box=True):
    got = source.read(first, stop)
    assert source.n_frames == N_FRAMES
    np.testing.assert_array_equal(got.frame, np.arange(first, stop))
    offset_A = 0.0 if box else centred(arrays[0][first:stop]) - arrays[0][first:stop] + arrays[0][first].mean(axis=0)
    np.testing.assert_allclose(got.positions_A, (arrays[0][first:stop] + offset_A).reshape(-1, 2), atol=1e-6)
    np.testing.assert_array_equal(got.species, np.tile((arrays[1] == "Si").astype(int), stop - first))
    np.testing.assert_array_equal(got.track, np.tile(np.arange(N_ATOMS), stop - first))
    assert got.box_A == (tuple(arrays[2]) if box else None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(arrays, tmp_path, save):
    save(tmp_path / "t.npz", positions_A=arrays[0], species=arrays[1], box_A=arrays[2])
    source = open_trajectory(tmp_path / "t.npz", SYMBOLS, None, 3.0)
    same(source, arrays)
    import pickle

    same(pickle.loads(pickle.dumps(source)), arrays)


def test_stored_npz_is_not_read_whole(tmp_path):
    positions_A = np.random.default_rng(2).uniform(0, 50, (60, 5000, 2))
    np.savez(tmp_path / "big.npz", positions_A=positions_A, species=np.zeros(5000, int))
    source = open_trajectory(tmp_path / "big.npz", SYMBOLS, None, 3.0)
    assert isinstance(source._arrays["positions_A"], np.memmap)
    np.testing.assert_array_equal(source.read(7, 8).positions_A, positions_A[7])


@pytest.mark.parametrize("as_text", [True, False])
def test_hdf5(arrays, tmp_path, as_text):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["positions_A"], file["box_A"] = arrays[0], arrays[2]
        file["species"] = arrays[1].astype("S") if as_text else (arrays[1] == "Si").astype(int)
    same(open_trajectory(tmp_path / "t.h5", SYMBOLS, None, 3.0), arrays)


@pytest.mark.parametrize("track", [True, False])
def test_extended_xyz(arrays, tmp_path, track):
    import ase
    from ase.io import write

    frames = []
    for positions_A in arrays[0]:
        atoms = ase.Atoms(arrays[1].tolist(), np.column_stack([positions_A, np.zeros(N_ATOMS)]))
        atoms.cell, atoms.pbc = [*arrays[2], 10.0], [True, True, False]
        if track:
            atoms.arrays["track"] = np.arange(N_ATOMS)
        frames.append(atoms)
    write(tmp_path / "t.xyz", frames, format="extxyz")
    same(open_trajectory(tmp_path / "t.xyz", SYMBOLS, None, 3.0), arrays)


def linked_table(arrays):
    table = atom_table(list(arrays[0]), [arrays[1]] * N_FRAMES)
    return table.with_columns(track=np.tile(np.arange(N_ATOMS), N_FRAMES))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, N_FRAMES - 1), max_size=3), first=st.integers(0, 6), length=st.integers(1, 3))
def test_parquet_in_any_number_of_files(arrays, tmp_path_factory, cuts, first, length):
    folder = tmp_path_factory.mktemp("atoms")
    table = linked_table(arrays)
    shuffled = table[np.random.default_rng(3).permutation(len(table))]
    edges = [0, *sorted(set(cuts)), N_FRAMES]
    for a, b in pairwise(edges):
        shuffled[(shuffled.frame >= a) & (shuffled.frame < b)].write(folder / f"chunk-{a:03d}.parquet")
    source = open_trajectory(folder, SYMBOLS, (-9, -9, 20, 20), 3.0)
    same(source, arrays, first, first + length, box=False)


@pytest.mark.parametrize(
    ("change", "thing"),
    [
        (lambda t: t.with_columns(track=np.full(len(t), -1)), "none that is linked"),
        (lambda t: t.with_columns(species=np.where(np.arange(len(t)) == 5, "N", t.species)), "species in .*; got N"),
        (lambda t: t.with_columns(movie=np.where(np.arange(len(t)) < 40, "a", "b")), "2 movies"),
        (lambda t: t.with_columns(x_A=np.where(t.frame > 4, t.x_A * 10, t.x_A)), "units of x_px and x_A"),
        (lambda t: t.with_columns(track=np.zeros(len(t), int)), "tracks in frame"),
    ],
    ids=["unlinked", "unknown species", "two movies", "two units", "duplicate track"],
)
def test_tables_that_cannot_be_fitted_say_why(arrays, tmp_path, change, thing):
    change(linked_table(arrays)).write(tmp_path / "t.parquet")
    source = open_trajectory(tmp_path / "t.parquet", SYMBOLS, (-9, -9, 90, 90), 3.0)
    with pytest.raises(StructureError, match=thing):
        source.read(0, source.n_frames)


def test_drift_is_taken_off(arrays, tmp_path):
    rng = np.random.default_rng(4)
    drift_A = np.cumsum(rng.normal(0, 0.3, (N_FRAMES, 1, 2)), axis=0)
    table = atom_table(list(arrays[0] + drift_A), [arrays[1]] * N_FRAMES)
    table = table.with_columns(track=np.tile(np.arange(N_ATOMS), N_FRAMES))
    table[rng.random(len(table)) > 0.05].write(tmp_path / "t.parquet")
    read = open_trajectory(tmp_path / "t.parquet", SYMBOLS, (-9, -9, 20, 20), 3.0).read(0, N_FRAMES)
    still_A = np.full((N_FRAMES, N_ATOMS, 2), np.nan)
    still_A[np.repeat(read.frame, np.diff(read.start)), read.track] = read.positions_A
    # Atoms that are missed leave their share of the mean step.
    np.testing.assert_allclose(np.nanmean(np.diff(still_A, axis=0), axis=1), 0, atol=1e-9)
    shaken_A = np.diff(arrays[0], axis=0)
    assert np.nanmax(np.abs(np.diff(still_A, axis=0) - shaken_A)) < 0.06


def test_uncertain_atoms_of_a_table_count_less(arrays, tmp_path):
    from hpcstem.potentials.parquet_trajectory import ParquetTrajectory

    table = linked_table(arrays)
    sigma_A = np.where(table.track == 3, 0.2, 0.1)
    table.with_columns(sigma_A=sigma_A).write(tmp_path / "t.parquet")
    window = (-9.0, -9.0, 20.0, 20.0)
    read = ParquetTrajectory(tmp_path / "t.parquet", SYMBOLS, window, 3.0, diffusion_A=0.1).read(0, 2)
    np.testing.assert_allclose(read.weight, np.where(read.track == 3, 1 / 9, 1 / 3), rtol=1e-6)


def test_files_out_of_the_order_of_time_are_refused(arrays, tmp_path):
    table = linked_table(arrays)
    table[table.frame > 4].write(tmp_path / "a.parquet")
    table[table.frame <= 4].write(tmp_path / "b.parquet")
    with pytest.raises(StructureError, match="order of time"):
        open_trajectory(tmp_path, SYMBOLS, None, 3.0).n_frames  # noqa: B018


@pytest.mark.parametrize(
    ("name", "content", "error", "thing"),
    [
        ("t.csv", b"x", StructureError, "ending '.csv'"),
        ("t.npz", b"no zip", StructureError, "cannot read"),
        ("t.h5", b"no hdf5", StructureError, "cannot read"),
        ("t.xyz", b"three atoms\n", StructureError, "a number of atoms"),
        ("t.xyz", b"1\nfoo\nC 0\n1\nfoo\nC 0\n", StructureError, "cannot read"),
        ("t.parquet", b"no parquet", AtomTableError, "cannot read"),
    ],
)
def test_damaged_files_name_themselves(tmp_path, name, content, error, thing):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=thing) as raised:
        open_trajectory(tmp_path / name, SYMBOLS, None, 3.0).read(0, 2)
    assert name in str(raised.value)


def test_an_absent_file_is_said(tmp_path):
    with pytest.raises(StructureError, match="does not exist"):
        open_trajectory(tmp_path / "absent.npz", SYMBOLS, None, 3.0)


def test_weights_know_edges_certainty_and_noise(arrays):
    table = atom_table([np.array([[1.0, 10.0], [10.0, 10.0], [12.0, 19.0], [11.0, 11.0]])])
    table = table.with_columns(probability=np.array([1, 1, 1, 0.5]), sigma_A=np.array([0.1, 0.1, 0.1, 0.2]))
    np.testing.assert_allclose(atom_weights(table, (0, 0, 20, 20), 2.0), [0, 1, 0, 0.5])
    got = atom_weights(table, (0, 0, 20, 20), 2.0, diffusion_A=0.1)
    np.testing.assert_allclose(got, [0, 1 / 3, 0, 0.5 / 9], rtol=1e-6)
    with pytest.raises(StructureError, match="window of 20 Å"):
        atom_weights(table, (0, 0, 20, 20), 11.0)
