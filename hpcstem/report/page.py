"""The parts of the page, before any of them is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with the words below it.

    Parameters
    ----------
    figure
        The figure.
    caption
        What it shows, with units.
    """

    kind: ClassVar[str] = "picture"
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Player:
    """A trajectory to play, with the words below it.

    Parameters
    ----------
    movie
        What `hpcstem.report.movie.movie` returns.
    caption
        What it shows.
    """

    kind: ClassVar[str] = "player"
    movie: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a header.

    Parameters
    ----------
    header
        Name of each column with its unit.
    rows
        One text per column.
    caption
        What the table holds; may be empty.
    text_columns
        Number of columns from the left that hold words; the others hold numbers and are set flush right.
    """

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    caption: str = ""
    text_columns: int = 1


@dataclass(frozen=True)
class Facts:
    """Names and values, a line each."""

    kind: ClassVar[str] = "facts"
    pairs: list[tuple[str, str]]


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Parameters
    ----------
    text
        What it says.
    link
        Page that the whole of it leads to, relative to this one; none if empty.
    """

    kind: ClassVar[str] = "words"
    text: str
    link: str = ""


@dataclass(frozen=True)
class Verbatim:
    """A file's text as it stands."""

    kind: ClassVar[str] = "verbatim"
    title: str
    text: str


@dataclass(frozen=True)
class Absent:
    """A part that this run does not have."""

    kind: ClassVar[str] = "absent"
    what: str
    stage: str

    @property
    def text(self) -> str:
        """One line that says which stage makes the part."""
        return f"{self.what} not in this run: the stage “{self.stage}” makes this part."


Block = Picture | Player | Table | Facts | Words | Verbatim | Absent


@dataclass(frozen=True)
class Section:
    """A headed part of the page.

    Parameters
    ----------
    key
        Anchor of the section.
    title
        Its heading.
    blocks
        What it holds, in order.
    folded
        Shown closed at first.
    """

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False


def shortened(rows: Sequence[tuple[str, ...]], most: int, what: str) -> tuple[Sequence[tuple[str, ...]], str]:
    """First `most` rows, and a sentence that says how many were left out; empty where none was."""
    if len(rows) <= most:
        return rows, ""
    return rows[:most], f"The first {most:,} of {len(rows):,} {what}."
