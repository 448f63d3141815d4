"""A study of latent structure from end to end: sub-images, unmixing, models, and what their latents say.

Everything that takes long is kept in the study's folder as soon as it is known, and read when the study goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import HpcstemError
from hpcstem.files import read_json, whole_file, write_json
from hpcstem.frames import Movie, open_movie
from hpcstem.latent.checkpoints import LossCurve
from hpcstem.latent.cutting import CutSubImages, Window, whole_windows
from hpcstem.latent.models import encode_all, trained_model
from hpcstem.latent.reading import LatentMixture, latent_mixture, manifold
from hpcstem.latent.rotational import Posterior
from hpcstem.latent.simulated import simulate_grains
from hpcstem.latent.sites import Sites, sites_of_frame
from hpcstem.latent.study_config import StudyConfig
from hpcstem.latent.sub_images import ImagesOnDisk, batches
from hpcstem.latent.unmixing import Unmixed, unmix

RunCut = Callable[[CutSubImages, Sequence[tuple[int, int]]], Any]
"""Runs the cutting over frames, as an executor does."""
Progress = Callable[[str, int, int, float], None]
"""Called with what is being done, steps done, steps in all, and the loss (NaN where there is none)."""

_SIMULATE, _UNMIX, _AUTOENCODER, _ROTATIONAL, _MIXTURE = range(5)
"""Streams of the seed."""


@dataclass(frozen=True, eq=False)
class LearnedSpace:
    """Contents that a model found, and what it draws from them.

    Parameters
    ----------
    curve
        Loss of each epoch.
    content
        Of each sub-image, with shape (n_images, n_content).
    mixture
        Of the contents.
    first, second, manifold
        As of `hpcstem.latent.reading.manifold`.
    """

    curve: LossCurve
    content: np.ndarray
    mixture: LatentMixture
    first: np.ndarray
    second: np.ndarray
    manifold: np.ndarray


@dataclass(frozen=True, eq=False)
class WindowResult:
    """What was found with sub-images of one size.

    Parameters
    ----------
    images
        The sub-images.
    unmixed
        By method.
    autoencoder, rotational
        Spaces of the two models.
    posterior
        Latents of the rotational one.
    sites
        What bonds say of the atoms, to hold that against.
    """

    images: ImagesOnDisk
    unmixed: dict[str, Unmixed]
    autoencoder: LearnedSpace
    rotational: LearnedSpace
    posterior: Posterior
    sites: Sites


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study found, and the movies it was found in."""

    movies: tuple[Movie, ...]
    atoms: tuple[AtomTable, ...]
    windows: tuple[WindowResult, ...]


def run_study(config: StudyConfig, out: Path, run: RunCut, progress: Progress) -> StudyResult:
    """Run a study, or what is left of it.

    Parameters
    ----------
    config
        The study.
    out
        Its folder.
    run
        Runs an analysis over batches, as `hpcstem.execution.Executor.run` does.
    progress
        Told how far each part is.

    Raises
    ------
    HpcstemError
        The folder is that of another study, or what the study needs cannot be read.
    """
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    record = out / "study.json"
    if record.exists() and read_json(record).get("sha256") != digest:
        raise HpcstemError(f"folder {out}", "results of another study, or of other settings", "a folder of its own")
    write_json(record, {"study": config.model_dump(mode="json"), "sha256": digest})
    movies, atoms = _movies(config, out)
    cut = _cut_sub_images(config, out, movies, atoms, run)
    windows = tuple(_read_window(config, number, images, movies, atoms, progress) for number, images in enumerate(cut))
    return StudyResult(movies, atoms, windows)


def _movies(config: StudyConfig, out: Path) -> tuple[tuple[Movie, ...], tuple[AtomTable, ...]]:
    if config.simulate is None:
        tables = tuple(AtomTable.read(movie.atoms) for movie in config.movies)
        for entry, table in zip(config.movies, tables, strict=True):
            if len(np.unique(table.movie)) != 1:
                raise HpcstemError(f"{entry.atoms}", f"{len(np.unique(table.movie))} movies", "those of one movie")
        return tuple(open_movie(movie.frames) for movie in config.movies), tables
    frames_file, atoms_file = out / "movie.npy", out / "atoms.parquet"
    if not (frames_file.is_file() and atoms_file.is_file()):
        seed = np.random.SeedSequence([config.seed, _SIMULATE])
        frames, table = simulate_grains(config.name, config.simulate, seed)
        with whole_file(frames_file) as temporary, open(temporary, "wb") as file:
            np.save(file, frames, allow_pickle=False)
        table.write(atoms_file)
    movie = open_movie(frames_file, pixel_size_A=config.simulate.pixel_size_A)
    return (movie,), (AtomTable.read(atoms_file),)


def _cut_sub_images(
    config: StudyConfig, out: Path, movies: tuple[Movie, ...], atoms: tuple[AtomTable, ...], run: RunCut
) -> tuple[ImagesOnDisk, ...]:
    ensemble = None
    if config.source == "maps":
        from hpcstem.segmentation import Ensemble
        from hpcstem.segmentation.ensemble import find_ensemble

        ensemble = Ensemble.load(find_ensemble(config.ensemble))
    sizes = tuple(Window(window.half_width_A, window.n_pixels) for window in config.windows)
    analysis = CutSubImages(movies, atoms, sizes, out, config.source, ensemble)
    found: tuple[ImagesOnDisk, ...] = run(analysis, analysis.batches)
    return found


def _read_window(
    config: StudyConfig,
    number: int,
    images: ImagesOnDisk,
    movies: tuple[Movie, ...],
    atoms: tuple[AtomTable, ...],
    progress: Progress,
) -> WindowResult:
    import torch

    unmix_seed, first_seed, second_seed = np.random.SeedSequence([config.seed, _UNMIX, number]).spawn(3)
    unmixed: dict[str, Unmixed] = {
        method: _kept_unmixed(images, method, config.unmix.n_components, seed)
        for method, seed in zip(config.unmix.methods, unmix_seed.spawn(len(config.unmix.methods)), strict=True)
    }

    def follow(task: str, epochs: int) -> Callable[[int, float, float], None]:
        return lambda epoch, _, held_out: progress(f"{task}, {images.half_width_A:g} Å", epoch, epochs, held_out)

    def content_only(content: np.ndarray) -> np.ndarray:
        drawn: np.ndarray = plain.decode(torch.from_numpy(np.asarray(content, np.float32))).numpy()
        return drawn

    def upright(content: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(np.asarray(content, np.float32))
        drawn: np.ndarray = turning.decode(
            values, torch.full((len(values),), most_common), torch.zeros(len(values))
        ).numpy()
        return drawn

    training = config.autoencoder_training
    seeds = [_integer(config.seed, stream, number) for stream in (_AUTOENCODER, _ROTATIONAL)]
    plain, plain_curve = trained_model(
        images.folder, config.autoencoder, images, training, seeds[0], follow("autoencoder", training.epochs)
    )
    content = np.concatenate([plain.encode(torch.from_numpy(batch)) for batch in batches(images, 500)])
    turning, curve = trained_model(
        images.folder, config.rotational, images, config.training, seeds[1], follow("rVAE", config.training.epochs)
    )
    posterior = encode_all(turning, images)
    most_common = int(np.bincount(posterior.label).argmax())
    return WindowResult(
        images,
        unmixed,
        _space(plain_curve, content, content_only, config.n_mixture, first_seed),
        _space(curve, posterior.content, upright, config.n_mixture, second_seed),
        posterior,
        _sites(images, movies, atoms),
    )


def _space(
    curve: LossCurve,
    content: np.ndarray,
    decode: Callable[[np.ndarray], np.ndarray],
    n_mixture: int,
    seed: np.random.SeedSequence,
) -> LearnedSpace:
    first, second, drawn = manifold(content, decode)
    return LearnedSpace(curve, content, latent_mixture(content, decode, n_mixture, seed), first, second, drawn)


def _kept_unmixed(images: ImagesOnDisk, method: Any, n_components: int, seed: np.random.SeedSequence) -> Unmixed:
    """Unmix, or read what was found before."""
    path = images.folder / f"unmixed-{method}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return Unmixed(method, stored["components"], stored["weights"])
        except (OSError, KeyError, ValueError) as error:
            raise HpcstemError(f"cannot read {path}", error, "a file of this study; delete it") from error
    found = unmix(images, method, n_components, seed)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, components=found.components, weights=found.weights)
    return found


def _sites(images: ImagesOnDisk, movies: Sequence[Movie], atoms: Sequence[AtomTable]) -> Sites:
    """Sites of the atoms with sub-images, from the bonds of all atoms."""
    angle_rad, crystalline = [], []
    for movie, table in zip(movies, atoms, strict=True):
        for frame in np.unique(table.frame):
            here = table.in_frame(int(frame))
            kept = whole_windows(here, movie.shape, images.half_width_A)
            sites = sites_of_frame(here)
            angle_rad.append(sites.angle_rad[kept])
            crystalline.append(sites.crystalline[kept])
    return Sites(np.concatenate(angle_rad), np.concatenate(crystalline))


def _integer(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
