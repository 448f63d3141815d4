"""Figures as data URIs: SVG where that is small, PNG otherwise."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CSS_PIXELS_PER_INCH = 96
_LARGEST_SVG_BYTES = 150_000


@dataclass(frozen=True)
class Embedded:
    """A rendered figure.

    Parameters
    ----------
    uri
        The whole image as a data URI.
    width_px, height_px
        Size at which a page shows it [CSS px].
    """

    uri: str
    width_px: int
    height_px: int

    @property
    def is_drawing(self) -> bool:
        """Whether it is an SVG, the same at each resolution."""
        return self.uri.startswith("data:image/svg")


def embed(figure: Figure, pixel_ratio: float) -> Embedded:
    """Render a figure; it is laid out the first time and keeps that layout at each resolution.

    Parameters
    ----------
    figure
        Figure to render. One with images in it becomes a PNG, a drawing an SVG unless that is large.
    pixel_ratio
        Pixels of a PNG per CSS pixel.
    """
    # Each run of constrained layout starts from the last one's result and moves things a little.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    width_in, height_in = figure.get_size_inches()
    kind, content = "svg+xml", b""
    if not any(axes.images for axes in figure.axes):
        content = _svg(figure)
    if not 0 < len(content) <= _LARGEST_SVG_BYTES:
        kind, content = "png", _png(figure, pixel_ratio)
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return Embedded(uri, round(width_in * CSS_PIXELS_PER_INCH), round(height_in * CSS_PIXELS_PER_INCH))


def _svg(figure: Figure) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "hpcstem", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _png(figure: Figure, pixel_ratio: float) -> bytes:
    buffer = io.BytesIO()
    resolution = pixel_ratio * CSS_PIXELS_PER_INCH
    figure.savefig(buffer, format="png", dpi=resolution, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()
