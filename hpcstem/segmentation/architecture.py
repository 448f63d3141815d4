"""Sizes of the network, for those who need no network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LAYERS = (2, 3, 3, 4, 3, 3, 2)
"""Convolution layers per block, from the first encoder block through the bottom to the last decoder block."""

Layers = Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=7, max_length=7)]
"""Layers of the seven blocks, as a card or a configuration states them."""
