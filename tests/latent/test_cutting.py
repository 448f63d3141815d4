"""Sub-images around atoms: where they are cut, what is left out, and that only what is read is in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcstem.errors import HpcstemError
from hpcstem.execution import SerialExecutor
from hpcstem.frames import open_movie
from hpcstem.imaging.acquisition import Acquisition
from hpcstem.imaging.movie import simulate_movie
from hpcstem.imaging.probe import Probe
from hpcstem.latent import CutSubImages, ImagesOnDisk, Window
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation.ensemble import find_ensemble

PIXEL_A = 0.12
SHAPE = (160, 200)
WINDOWS = (Window(2.0, 16), Window(5.0, 24))


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory):
    frames, atoms = simulate_movie(
        "sheet", 3, SHAPE, PIXEL_A, Probe(60, 31, 0.28), Acquisition(dose_e_per_A2=3e6), np.random.SeedSequence(0)
    )
    path = tmp_path_factory.mktemp("movie") / "sheet.npy"
    np.save(path, frames)
    return open_movie(path, pixel_size_A=PIXEL_A), atoms


@pytest.fixture(scope="module")
def cut(movie, tmp_path_factory: pytest.TempPathFactory) -> tuple[CutSubImages, tuple[ImagesOnDisk, ...]]:
    frames, atoms = movie
    analysis = CutSubImages((frames,), (atoms,), WINDOWS, tmp_path_factory.mktemp("cut"), "frames")
    return analysis, SerialExecutor().run(analysis, analysis.batches)


def test_every_atom_has_its_window_or_is_counted(movie, cut) -> None:
    _, atoms = movie
    for window, images in zip(WINDOWS, cut[1], strict=True):
        assert len(images) + images.n_left_out == len(atoms)
        assert len(images.atoms) == len(images)
        reach_px = window.half_width_A / PIXEL_A
        assert images.atoms.x_px.min() >= reach_px
        assert images.atoms.y_px.max() <= SHAPE[0] - 1 - reach_px
    assert cut[1][0].n_left_out < cut[1][1].n_left_out


def test_windows_are_centred_on_their_atoms(cut) -> None:
    images = cut[1][0]
    carbon = np.flatnonzero(images.atoms.species == "C")
    mean = images.read(carbon).mean(axis=0)
    middle = mean[7:9, 7:9].mean()
    assert middle > mean[[0, 0, -1, -1], [0, -1, 0, -1]].mean() + 0.3
    assert np.abs(mean - mean[::-1, ::-1]).max() < 0.2 * np.ptp(mean)


def test_what_is_on_disk_is_what_was_cut(cut) -> None:
    for images in cut[1]:
        again = ImagesOnDisk.open(images.folder)
        assert (again.names, again.counts, again.n_left_out) == (images.names, images.counts, images.n_left_out)
        rows = np.array([len(again) - 1, 0, len(again) // 2, 0])
        whole = np.concatenate([np.load(images.folder / f"{name}.npy") for name in images.names])
        assert np.array_equal(again.read(rows), whole[rows])


def test_images_stay_on_disk_until_they_are_read(cut) -> None:
    images = ImagesOnDisk.open(cut[1][0].folder)
    images.read(np.array([0]))
    assert all(isinstance(values, np.memmap) for values in images._maps)


def test_frames_that_were_cut_are_not_cut_again(movie, cut) -> None:
    frames, _ = movie
    analysis, images = cut
    # A movie that cannot be read is not read.
    gone = replace(analysis, movies=(replace(frames, path=Path("/nowhere.npy")),))
    assert SerialExecutor().run(gone, gone.batches)[0].counts == images[0].counts
    (images[0].folder / f"{images[0].names[1]}.npy").unlink()
    SerialExecutor().run(analysis, analysis.batches)
    assert len(ImagesOnDisk.open(images[0].folder).read(np.arange(len(images[0])))) == len(images[0])


def test_maps_are_probabilities_with_an_atom_in_the_middle(movie, tmp_path: Path) -> None:
    frames, atoms = movie
    ensemble = Ensemble.load(find_ensemble("graphene-si"))
    analysis = CutSubImages((frames,), (atoms.in_frame(0),), WINDOWS[:1], tmp_path, "maps", ensemble)
    images = SerialExecutor().run(analysis, analysis.batches)[0]
    values = images.read(np.arange(len(images)))
    assert 0.0 <= values.min() <= values.max() <= 1.0
    assert np.median(values[:, 7:9, 7:9]) > 0.8


def test_what_cannot_be_cut_is_refused(movie, tmp_path: Path) -> None:
    frames, atoms = movie
    with pytest.raises(HpcstemError, match="networks for sub-images"):
        CutSubImages((frames,), (atoms,), WINDOWS, tmp_path, "maps")
    analysis = CutSubImages((frames,), (atoms,), (Window(12.0, 16),), tmp_path, "frames")
    with pytest.raises(HpcstemError, match="none inside a frame"):
        SerialExecutor().run(analysis, analysis.batches)
    (tmp_path / "sub-images.json").write_text("[]", encoding="utf-8")
    with pytest.raises(HpcstemError, match="a list of sub-images"):
        ImagesOnDisk.open(tmp_path)
