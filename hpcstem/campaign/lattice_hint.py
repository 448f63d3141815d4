"""What a movie's own lattice says of its pixel size, for the messages that a wrong one causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hpcstem.errors import ConfigError, HpcstemError, MovieError, StructureError
from hpcstem.frames import Movie
from hpcstem.frames.lattice import lattice_pixel_size_A

_LARGEST_ERROR = 0.15


@contextmanager
def lattice_hint(movies: Sequence[Movie]) -> Iterator[None]:
    """Add to an error what the lattices of the movies say of their pixel sizes, where that is something else.

    It takes the place of a pixel size that was found from the atoms, which a wrong one puts anywhere.
    """
    try:
        yield
    except (ConfigError, MovieError, StructureError) as error:
        hints = [hint for movie in movies if (hint := pixel_size_hint(movie)) is not None]
        if not hints:
            raise
        before = [] if error.wanted is None or isinstance(error, ConfigError) else [str(error.wanted)]
        wanted = "; ".join([*before, *hints])
        raise type(error)(error.thing, error.got, wanted) from error


def pixel_size_hint(movie: Movie) -> str | None:
    """Return the pixel size to write, if the lattice is graphene; None where it agrees or says nothing."""
    given_A = movie.require_pixel_size()
    try:
        frames, _, _ = movie.read_checked(0, 1)
    except HpcstemError:
        return None
    found_A = lattice_pixel_size_A(frames[0]) if len(frames) else None
    if found_A is None or abs(given_A / found_A - 1) < _LARGEST_ERROR:
        return None
    return f"pixel_size_A: {found_A:.2g} instead of {given_A:g}, if the lattice of movie {movie.name} is graphene"
