"""What a movie's own lattice says of its pixel size, for the messages of errors that a wrong one causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hpcstem.errors import HpcstemError, MovieError, StructureError
from hpcstem.frames import Movie
from hpcstem.frames.lattice import lattice_pixel_size_A

_LARGEST_ERROR = 0.15


@contextmanager
def lattice_hint(movies: Sequence[Movie]) -> Iterator[None]:
    """Add to an error what the lattices of the movies say of their pixel sizes, where that is something else."""
    try:
        yield
    except (MovieError, StructureError) as error:
        hints = [hint for movie in movies if (hint := _hint(movie)) is not None]
        if not hints:
            raise
        wanted = "; ".join(str(part) for part in (error.wanted, *hints) if part is not None)
        raise type(error)(error.thing, error.got, wanted) from error


def _hint(movie: Movie) -> str | None:
    given_A = movie.require_pixel_size()
    try:
        frames, _, _ = movie.read_checked(0, 1)
    except HpcstemError:
        return None
    found_A = lattice_pixel_size_A(frames[0]) if len(frames) else None
    if found_A is None or abs(given_A / found_A - 1) < _LARGEST_ERROR:
        return None
    return f"pixel_size_A: {found_A:.2g} instead of {given_A:g}, if the lattice of movie {movie.name} is graphene"
