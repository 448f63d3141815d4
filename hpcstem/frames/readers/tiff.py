"""TIFF stacks: plain, ImageJ and OME."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from hpcstem.errors import MovieError
from hpcstem.frames.found import Axis, Found, number
from hpcstem.frames.readers import Reader
from hpcstem.frames.readers.choice import choose
from hpcstem.frames.readers.layout import FrameLayout, layout_of
from hpcstem.frames.readers.raw import RawFrames
from hpcstem.frames.units import length_A

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
_LARGEST_PIXEL_A = 1e4
"""Above this a resolution in dots per inch is that of a print, not of a microscope."""


class PagedFrames:
    """Frames that are pages of their own, compressed or scattered.

    Parameters
    ----------
    file
        The open file.
    pages
        One page per frame, as many as can be found.
    n_frames
        Number of frames announced; larger where the file is cut.
    found
        What the file says of the frames.
    dataset
        Index of the series.
    """

    dataset: str | None

    def __init__(self, file: Any, pages: list[Any], n_frames: int, found: Found, dataset: str) -> None:
        page = pages[0]
        self.shape, self.dtype, self.found, self.dataset = (n_frames, *page.shape), page.dtype, found, dataset
        self._file, self._pages = file, pages
        size = os.path.getsize(file.filehandle.path)
        ends = [max(o + c for o, c in zip(p.dataoffsets, p.databytecounts, strict=True)) for p in pages]
        self._cut = {i for i, end in enumerate(ends) if end > size} | set(range(len(pages), n_frames))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames."""
        return np.stack([page.asarray() for page in self._pages[start:stop]])

    def missing(self, start: int, stop: int) -> set[int]:
        """Frames whose strips or page lie behind the end of the file."""
        return self._cut.intersection(range(start, stop))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_frames(path: Path, dataset: str | None) -> Reader:
    """Open a series of a TIFF file by its index, or the only one."""
    import tifffile

    file = tifffile.TiffFile(path)
    try:
        series = list(file.series)
        if _chain_is_cut(file):
            return _open_cut(file, path)
        candidates = {str(i): (tuple(s.shape), np.dtype(s.dtype)) for i, s in enumerate(series)}
        chosen = choose(candidates, dataset, path)
        one = series[int(chosen)]
        if "S" in one.axes:
            raise MovieError(f"{path} is a colour image", f"axes {one.axes}", "grey values")
        layout = layout_of(one.shape, np.dtype(one.dtype), path)
        page: Any = one.pages[0]
        found = _found(file, page, layout)
        if one.dataoffset is not None:
            file.close()
            return RawFrames(
                path, one.dataoffset, page.dtype.newbyteorder(file.byteorder), layout, found, dataset=chosen
            )
        return PagedFrames(file, list(one.pages), layout.shape[0], found, chosen)
    except BaseException:
        file.close()
        raise


def _open_cut(file: Any, path: Path) -> Reader:
    """Open a file that ends before its last page, with as many frames as it announces.

    Where nothing announces a number, the lost part counts as one frame more than was found.
    """
    pages = [page for page in file.pages if page.shape == file.pages[0].shape]
    page = pages[0]
    announced = _announced(file)
    layout = layout_of((announced or len(pages) + 1, *page.shape), page.dtype, path)
    found = _found(file, page, layout)
    if announced is not None and len(pages) == 1 and page.is_contiguous and page.compression == 1:
        dtype = page.dtype.newbyteorder(file.byteorder)
        offset = page.dataoffsets[0]
        file.close()
        return RawFrames(path, offset, dtype, layout, found, dataset="0")
    return PagedFrames(file, pages, layout.shape[0], found, "0")


def _announced(file: Any) -> int | None:
    """Return the number of frames that the description of the first page states."""
    if file.shaped_metadata and len(shape := file.shaped_metadata[0].get("shape", ())) == 3:
        return int(shape[0])
    count = number((file.imagej_metadata or {}).get("images"))
    return None if count is None else int(count)


def _chain_is_cut(file: Any) -> bool:
    """Say whether the last page points to another one behind the end of the file."""
    form, handle, size = file.tiff, file.filehandle, file.filehandle.size
    handle.seek(file.pages[len(file.pages) - 1].offset)
    (n_tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    handle.seek(n_tags * form.tagsize, os.SEEK_CUR)
    tail = handle.read(form.offsetsize)
    if len(tail) < form.offsetsize:
        return True
    (following,) = struct.unpack(form.offsetformat, tail)
    return bool(following >= size)


def _found(file: Any, page: Any, layout: FrameLayout) -> Found:
    if file.is_ome and file.ome_metadata:
        from tifffile import xml2dict

        image = xml2dict(file.ome_metadata).get("OME", {}).get("Image", {})
        pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
        rows, columns = (_ome_axis(pixels, name) for name in ("Y", "X"))
        return Found("OME TIFF", rows, columns)
    unit = str((file.imagej_metadata or {}).get("unit", ""))
    source = "ImageJ TIFF" if unit else "TIFF"
    tag = page.tags.get("ResolutionUnit")
    printed = not unit
    if printed:
        unit = _RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 0, "")
    rows, columns = (_resolution_axis(page, name, unit, printed) for name in ("YResolution", "XResolution"))
    return Found(source, rows, columns)


def _ome_axis(pixels: dict[str, Any], name: str) -> Axis | None:
    size = number(pixels.get(f"PhysicalSize{name}"))
    return None if size is None else Axis(size, str(pixels.get(f"PhysicalSize{name}Unit", "µm")))


def _resolution_axis(page: Any, name: str, unit: str, printed: bool) -> Axis | None:
    """Length per pixel from pixels per length; None for the dots per inch of a print."""
    tag = page.tags.get(name)
    if tag is None or not unit or not all(tag.value):
        return None
    pixels, lengths = tag.value
    axis = Axis(lengths / pixels, unit)
    if printed and (length_A(axis.scale, unit, "TIFF resolution") or 0.0) > _LARGEST_PIXEL_A:
        return None
    return axis
