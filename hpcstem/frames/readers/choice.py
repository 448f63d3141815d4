"""Which dataset of a file holds the frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.readers.layout import layout_of

_PREFERRED = ("frames", "images", "image", "image_data", "nn_input", "data")


def choose(candidates: Mapping[str, tuple[tuple[int, ...], np.dtype]], dataset: str | None, thing: object) -> str:
    """Choose the dataset by its name, or the obvious one.

    Obvious is: the only one, the only one that can be a movie, or the only one with the first of the names frames,
    images, image, image_data, nn_input, data.

    Parameters
    ----------
    candidates
        Shape and dtype of each array in the file, by its path in the file.
    dataset
        What the caller asked for: the path, or the end of it where that is unique.
    thing
        The file, for errors.

    Raises
    ------
    MovieError
        No dataset of that name, none that can be a movie, or several.
    """
    if dataset is not None:
        wanted = dataset if dataset in candidates else dataset.strip("/")
        if wanted in candidates:
            return wanted
        ends = [name for name in candidates if name.endswith("/" + wanted)]
        if len(ends) == 1:
            return ends[0]
        got = "several of this name" if ends else "no such dataset"
        raise MovieError(f"dataset {dataset!r} in {thing}", got, f"one of: {_shapes(candidates)}")
    if len(candidates) == 1:
        return next(iter(candidates))
    arrays = {name: entry for name, entry in candidates.items() if len(entry[0]) >= 2 and entry[1].kind in "iuf"}
    fitting = [name for name, (shape, dtype) in arrays.items() if _fits(shape, dtype, name)]
    if not fitting and arrays:
        largest = max(arrays, key=lambda name: np.prod(arrays[name][0], dtype=float))
        layout_of(*arrays[largest], thing)
    if not fitting:
        raise MovieError(f"{thing} holds no image", _shapes(candidates) or "no arrays", "a 2-D or 3-D array of numbers")
    for leaf in _PREFERRED:
        named = [name for name in fitting if name.rsplit("/", 1)[-1] == leaf]
        if named:
            fitting = named
            break
    if len(fitting) > 1:
        raise several_images({name: candidates[name][0] for name in fitting}, thing)
    return fitting[0]


def several_images(shapes: Mapping[str, tuple[int, ...]], thing: object) -> MovieError:
    """Error for a file with several images and no word which one is meant."""
    listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return MovieError(f"{thing} holds {len(shapes)} images", wanted=f"one to be chosen by dataset=…, one of: {listing}")


def _fits(shape: tuple[int, ...], dtype: np.dtype, name: str) -> bool:
    try:
        layout_of(shape, dtype, name)
    except MovieError:
        return False
    return True


def _shapes(candidates: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> str:
    return ", ".join(f"{name} {shape}" for name, (shape, _) in candidates.items())
