"""Atoms of a frame of any size: what is too large for the networks at once is looked at part by part.

A network of three poolings sees 80 pixels far. Tiles that overlap by that much on every side, cut at multiples of its
poolings, give each pixel of their inner part the probabilities of the whole frame, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.inference import predict_prepared
from hpcstem.segmentation.locate import SAME_ATOM_A, Blobs, locate, without_doubles

TILE_PX = 1024
"""Rows and columns of a tile's inner part, a multiple of the poolings; frames no larger are not cut."""

_HALO_PX = 96  # 80 that the network sees, and the window that an atom is centred in
_SEAM_PX = 1.0


_Tile = tuple[tuple[slice, slice], tuple[slice, slice]]


def find_blobs(images: np.ndarray, ensemble: Ensemble, tile_px: int = TILE_PX) -> Iterator[tuple[Blobs, np.ndarray]]:
    """Run every member on frames and find their atoms.

    Parameters
    ----------
    images
        What `hpcstem.segmentation.inference.prepared` returns, with shape (n, rows, columns), float32.
    ensemble
        The networks.
    tile_px
        Rows and columns of a tile's inner part, a multiple of 8.

    Yields
    ------
    blobs : Blobs
        The atoms of each frame in turn, in pixels of the image.
    spread : numpy.ndarray
        Standard deviation over members of the probability of an atom, with shape (rows, columns), float32.
    """
    tiles = list(_tiles(images.shape[1:], tile_px))
    if len(tiles) == 1:
        for maps in predict_prepared(images, ensemble):
            yield locate(maps, ensemble.card.atom_radius_A), maps.spread
        return
    for image in images:
        yield _find_by_tiles(image, ensemble, tiles)


def _find_by_tiles(image: np.ndarray, ensemble: Ensemble, tiles: list[_Tile]) -> tuple[Blobs, np.ndarray]:
    """Atoms and spread of a frame that is looked at part by part."""
    spread = np.empty(image.shape, np.float32)
    found = []
    for inner, outer in tiles:
        maps = next(predict_prepared(image[outer][None], ensemble))
        origin = np.array([part.start for part in outer])
        spread[inner] = maps.spread[
            tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        ]
        blobs = locate(maps, ensemble.card.atom_radius_A)
        positions_px = blobs.positions_px + origin[::-1]
        low, high = (np.array([getattr(part, end) for part in inner[::-1]]) for end in ("start", "stop"))
        # An atom on a seam may be on either side of it by rounding: both tiles keep it, and one of the two goes.
        at_edge = high == np.array(image.shape[::-1])
        kept = (
            (positions_px >= np.where(low == 0, -np.inf, low - 0.5 - _SEAM_PX))
            & (positions_px < np.where(at_edge, np.inf, high - 0.5 + _SEAM_PX))
        ).all(axis=1)
        found.append(_chosen(blobs, positions_px, np.flatnonzero(kept)))
    joined = Blobs(*(np.concatenate([getattr(one, column.name) for one in found]) for column in fields(Blobs)))
    once = without_doubles(joined.positions_px, joined.probability, SAME_ATOM_A / ensemble.card.pixel_size_A)
    return _chosen(joined, joined.positions_px, once), spread


def _chosen(blobs: Blobs, positions_px: np.ndarray, rows: np.ndarray) -> Blobs:
    """Some of the blobs, at the positions given."""
    return Blobs(
        positions_px[rows], blobs.classes[rows], blobs.probability[rows], blobs.detection[rows], blobs.spread_px[rows]
    )


def _tiles(shape: tuple[int, ...], tile_px: int) -> Iterator[_Tile]:
    """Inner parts that cover a frame once, each with the part to look at."""
    along = []
    for n in shape:
        starts = range(0, n, tile_px) if n > tile_px else range(1)
        stops = [min(start + tile_px, n) if n > tile_px else n for start in starts]
        along.append([
            (slice(start, stop), slice(max(start - _HALO_PX, 0), min(stop + _HALO_PX, n)))
            for start, stop in zip(starts, stops, strict=True)
        ])  # fmt: skip
    for row_inner, row_outer in along[0]:
        for column_inner, column_outer in along[1]:
            yield (row_inner, column_inner), (row_outer, column_outer)
