"""Results of a study on disk: latents of every sub-image, and one JSON summary."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpcstem.files import whole_file, write_json
from hpcstem.latent.measures import misorientation_rad, mutual_information, ranking, resultant
from hpcstem.latent.reading import oddness, similarity_matrix
from hpcstem.latent.settings import RotationalConfig
from hpcstem.latent.sites import SYMMETRY
from hpcstem.latent.study import LearnedSpace, StudyResult, WindowResult
from hpcstem.latent.study_config import StudyConfig

_BINS = 12
_BORDER_A = 4.0
"""Nearer to the edge of the frame than this, rings are not whole and order is not known [Å]."""
_TURNS = 24


def write_results(out: Path, config: StudyConfig, result: StudyResult) -> None:
    """Write `latent.json`, and in the folder of each window `latents.parquet`."""
    for window in result.windows:
        _write_latents(window)
    write_json(out / "latent.json", summary(config, result))


def summary(config: StudyConfig, result: StudyResult) -> dict[str, Any]:
    """Numbers of a study, as JSON values; unknown ones are null."""
    return {
        "name": config.name,
        "windows": [_of_window(config, number, window, result) for number, window in enumerate(result.windows)],
    }


def site_checks(
    config: StudyConfig, window: WindowResult, field_A: tuple[float, float], seed: np.random.SeedSequence
) -> dict[str, Any]:
    """What the latents say, held against what the bonds say.

    Parameters
    ----------
    config
        The study.
    window
        Results with sub-images of one size.
    field_A
        Width and height of the frames [Å].
    seed
        Of the shuffles of the mutual information.
    """
    sites, posterior, atoms = window.sites, window.posterior, window.images.atoms
    crystalline = sites.crystalline & np.isfinite(sites.angle_rad)
    found: dict[str, Any] = {"n_crystalline": int(crystalline.sum())}
    if crystalline.sum() < 2:
        return found
    truth_rad, angle_rad = sites.angle_rad[crystalline], posterior.angle_rad[crystalline]
    off_rad = misorientation_rad(angle_rad, truth_rad, SYMMETRY)
    found |= {
        "angle_resultant": resultant(angle_rad, truth_rad, SYMMETRY),
        "median_misorientation_deg": float(np.degrees(np.median(np.abs(off_rad)))),
        "right_sublattice": float((np.abs(off_rad) < math.pi / (2 * SYMMETRY)).mean()),
    }
    if config.simulate is not None:
        found["right_grain"] = _right_grain(truth_rad, off_rad, config.simulate.grains_deg)
    if crystalline.sum() >= 10 * _BINS**2:
        found["content_on_angle"] = [
            {"nats": one.nats, "shuffled_deviation": one.shuffled_deviation}
            for one in (
                mutual_information(content[crystalline], truth_rad, SYMMETRY, one_seed, _BINS)
                for content, one_seed in zip(posterior.content.T, seed.spawn(posterior.content.shape[1]), strict=True)
            )
        ]
    x_A, y_A = atoms.x_A, atoms.y_A
    inner = np.minimum.reduce([x_A, y_A, field_A[0] - x_A, field_A[1] - y_A]) > _BORDER_A
    if sites.crystalline[inner].any() and not sites.crystalline[inner].all():
        areas = [ranking(content[inner], sites.crystalline[inner]) for content in posterior.content.T]
        best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
        found["crystallinity"] = {
            "latent": best,
            "sign": 1 if areas[best] > 0.5 else -1,
            "area_under_curve": max(areas[best], 1.0 - areas[best]),
            "area_under_curve_of_oddness": ranking(
                -oddness(posterior.content, window.rotational.mixture)[inner], sites.crystalline[inner]
            ),
            "n_other_sites": int((~sites.crystalline[inner]).sum()),
        }
    return found


def _right_grain(truth_rad: np.ndarray, off_rad: np.ndarray, grains_deg: tuple[float, float]) -> float:
    """Share of crystalline sites whose angle is nearer to that of their own grain than to that of the other."""
    # Bonds are turned by π / 6 against the zigzag direction; grains look alike after π / 3.
    grains = np.exp(1j * 2 * SYMMETRY * (np.radians(grains_deg) + math.pi / 6))
    true, seen = (np.exp(1j * 2 * SYMMETRY * angle) for angle in (truth_rad, truth_rad + off_rad))
    own, other = (np.abs(turned[:, None] - grains).argmin(axis=1) for turned in (true, seen))
    return float((own == other).mean())


def _of_window(config: StudyConfig, number: int, window: WindowResult, result: StudyResult) -> dict[str, Any]:
    images = window.images
    movie, table = result.movies[0], result.atoms[0]
    farthest = int(table.x_px.argmax())
    pixel_size_A = float(table.x_A[farthest] / table.x_px[farthest])
    field_A = (movie.shape[1] * pixel_size_A, movie.shape[0] * pixel_size_A)
    found: dict[str, Any] = {
        "half_width_A": images.half_width_A,
        "n_pixels": images.n_pixels,
        "n_sub_images": len(images),
        "n_left_out_at_the_edge": images.n_left_out,
        "autoencoder": _of_space(window.autoencoder),
        "rotational": _of_space(window.rotational) | {"classes": _shares(config.rotational, window)},
        "structural_similarity": _similarities(window),
        "against_bonds": site_checks(config, window, field_A, np.random.SeedSequence([config.seed, 100, number])),
    }
    return found


def _of_space(space: LearnedSpace) -> dict[str, Any]:
    return {
        "epochs": space.curve.n_epochs,
        "best_held_out_loss": min(space.curve.held_out),
        "mixture_shares": space.mixture.share.tolist(),
        "mixture_centroids": space.mixture.centroids.tolist(),
    }


def _shares(settings: RotationalConfig, window: WindowResult) -> list[float]:
    counts = np.bincount(window.posterior.label, minlength=settings.n_classes)
    return [float(share) for share in counts / counts.sum()]


def _similarities(window: WindowResult) -> dict[str, Any]:
    """Mean similarity of two different components of each method, as they are and after the best turn."""
    sets = {name: unmixed.components for name, unmixed in window.unmixed.items() if name == "gmm"}
    sets |= {"autoencoder": window.autoencoder.mixture.images, "rotational": window.rotational.mixture.images}
    found = {}
    for name, images in sets.items():
        apart = ~np.eye(len(images), dtype=bool)
        if apart.any():
            as_is, turned = similarity_matrix(images), similarity_matrix(images, _TURNS)
            found[name] = {"as_they_are": float(as_is[apart].mean()), "best_turn": float(turned[apart].mean())}
    return found


def _write_latents(window: WindowResult) -> None:
    """One row for each sub-image: its atom, and the latents with their units."""
    atoms, posterior = window.images.atoms, window.posterior
    shift_A = posterior.shift * window.images.half_width_A
    columns: dict[str, np.ndarray] = {
        "movie": atoms.movie,
        "frame": atoms.frame,
        "x_A": atoms.x_A,
        "y_A": atoms.y_A,
        "species": atoms.species,
        "angle_rad": posterior.angle_rad,
        "angle_deviation_rad": posterior.angle_deviation_rad,
        "shift_x_A": shift_A[:, 0],
        "shift_y_A": shift_A[:, 1],
        "class": posterior.label,
        "negative_elbo": posterior.negative_elbo,
        "mixture": window.rotational.mixture.label,
        "oddness": oddness(posterior.content, window.rotational.mixture),
        "bond_angle_rad": window.sites.angle_rad,
        "crystalline": window.sites.crystalline,
    }
    for k, (mean, deviation) in enumerate(zip(posterior.content.T, posterior.content_deviation.T, strict=True)):
        columns |= {f"content_{k}": mean, f"content_{k}_deviation": deviation}
    for k, values in enumerate(window.autoencoder.content.T):
        columns[f"autoencoder_{k}"] = values
    with whole_file(window.images.folder / "latents.parquet") as temporary:
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), temporary)
