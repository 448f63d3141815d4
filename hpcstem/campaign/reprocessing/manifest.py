"""Which movies to decode: from a manifest (CSV, Parquet or text), or from patterns of names."""

from __future__ import annotations

import csv
import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hpcstem.campaign.schema import MovieSection, movie_name
from hpcstem.config import checked
from hpcstem.errors import ConfigError

_WILD = "*?["


def read_manifest(path: Path) -> list[MovieSection]:
    """Read a list of movies.

    Parameters
    ----------
    path
        A `.csv` or `.parquet` file whose columns are keys of `MovieSection`, of which `path` is needed and an empty
        cell means unknown; or a text file with one path per line, where lines that begin with # are skipped. Relative
        paths start at the manifest's folder.

    Returns
    -------
    list of MovieSection
        In the order of the manifest, paths absolute.

    Raises
    ------
    ConfigError
        It cannot be read, holds no movie or one of them twice, or a line has a column or value that cannot be used.
    """
    try:
        rows = _rows(path)
    except (OSError, ValueError, csv.Error) as error:
        wanted = "a CSV, Parquet or text file with one movie per line"
        raise ConfigError(
            f"cannot read the manifest {path}", getattr(error, "strerror", None) or error, wanted
        ) from error
    folder = path.resolve().parent
    movies = []
    for number, row in rows:
        known = {key: value for key, value in row.items() if value not in (None, "")}
        movie = checked(MovieSection, known, f"manifest {path}, line {number}")
        movies.append(movie.model_copy(update={"path": folder / movie.path}))
    if not movies:
        raise ConfigError(f"manifest {path}", "no movie", "one movie per line")
    return _each_once(movies, f"manifest {path}")


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Numbered lines of a manifest, as they stand."""
    suffix = path.suffix.casefold()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(enumerate(pq.read_table(path).to_pylist(), start=1))
    text = path.read_text(encoding="utf-8")
    if suffix == ".csv":
        reader = csv.DictReader(text.splitlines(), restkey="cells beyond the last column", strict=True)
        return [(reader.line_num, row) for row in reader]
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, {"path": line}) for number, line in lines if line and not line.startswith("#")]


def find_movies(patterns: Iterable[str], pixel_size_A: float | None = None) -> list[MovieSection]:
    """Movies whose names match a pattern.

    Parameters
    ----------
    patterns
        Names with `*`, `?`, `[…]`, or `**` for folders of any depth; and plain names.
    pixel_size_A
        Side of a pixel [Å] of all of them, in place of what the files say.

    Returns
    -------
    list of MovieSection
        Sorted by path, each once. Matches that have no suffix of a movie are left out.

    Raises
    ------
    ConfigError
        A pattern matches no movie.
    """
    from hpcstem.frames.readers import SUFFIXES

    found: set[Path] = set()
    for pattern in patterns:
        paths = [Path(pattern)]
        if is_pattern(pattern):
            names = glob.iglob(pattern, recursive=True)
            paths = [Path(name) for name in names if Path(name).suffix.casefold() in SUFFIXES]
        if not paths:
            raise ConfigError(
                f"movies {pattern!r}", "no file", "a pattern that matches files ending in " + " ".join(SUFFIXES)
            )
        found.update(path.resolve() for path in paths)
    return [
        checked(MovieSection, {"path": path, "pixel_size_A": pixel_size_A}, "command line") for path in sorted(found)
    ]


def is_pattern(name: str) -> bool:
    """Whether a name holds wildcards and is not itself a file."""
    return any(sign in name for sign in _WILD) and not Path(name).exists()


def movie_key(movie: MovieSection) -> str:
    """Name of a movie that no movie of another path or dataset has: its own name and a part of a hash."""
    text = os.fsencode(movie.path) + b"\0" + (movie.dataset or "").encode()
    return f"{movie_name(movie)}-{hashlib.sha256(text).hexdigest()[:12]}"


def _each_once(movies: Sequence[MovieSection], source: str) -> list[MovieSection]:
    seen: set[tuple[Path, str | None]] = set()
    for movie in movies:
        mark = (movie.path, movie.dataset)
        if mark in seen:
            raise ConfigError(source, f"{movie.path} twice", "each movie once")
        seen.add(mark)
    return list(movies)
