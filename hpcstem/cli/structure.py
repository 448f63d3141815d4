"""`hpcstem structure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcstem.cli.show import echo_json, echo_table, json_option

if TYPE_CHECKING:
    from hpcstem.atoms import AtomTable

_atoms = click.argument("atoms", type=click.Path(path_type=Path))
_movie = click.option("--movie", help="Name of the movie, where ATOMS holds several.")


@click.group()
def command() -> None:
    """Bonds, rings and defects of decoded atoms, and simulation cells from them."""


@command.command()
@_atoms
@_movie
@click.option("--frame", "frames", type=click.IntRange(0), multiple=True, help="Only this frame; may be repeated.")
@json_option
def defects(atoms: Path, movie: str | None, frames: tuple[int, ...], as_json: bool) -> None:
    """Print what each frame of ATOMS (Parquet) holds: atoms, rings by size, named defects and where they are."""
    import numpy as np

    from hpcstem.structure.bonds import bond_graph
    from hpcstem.structure.defects import find_defects
    from hpcstem.structure.rings import find_rings

    table = _read(atoms, movie)
    found: list[dict[str, Any]] = []
    for frame in frames or np.unique(table.frame).tolist():
        here = _in_frame(table, frame)
        graph = bond_graph(here.positions_A, here.species)
        rings = find_rings(graph)
        seen = find_defects(graph, rings, here.probability)
        symbols, counts = np.unique(here.species, return_counts=True)
        found.append(
            {
                "frame": frame,
                "atoms": dict(zip(symbols.tolist(), counts.tolist(), strict=True)),
                "rings": {str(size): count for size, count in rings.counts().items()},
                "defects": [
                    {"kind": one.kind.value, "centre_A": [round(float(x), 3) for x in one.centre_A]} for one in seen
                ],
            }
        )
    if as_json:
        echo_json(found)
        return
    rows: list[tuple[object, ...]] = [("frame", "atoms", "rings", "defects at x, y [Å]")]
    for one in found:
        where = ", ".join(f"{d['kind']} {d['centre_A'][0]:.1f} {d['centre_A'][1]:.1f}" for d in one["defects"])
        rows.append((one["frame"], _counts(one["atoms"]), _counts(one["rings"]), where))
    echo_table(rows)


@command.command()
@_atoms
@_movie
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the cells.")
@click.option("--frame", type=click.IntRange(0), help="Frame to cut from; by default the first.")
@click.option(
    "--by",
    type=click.Choice(["certainty", "defect", "random", "frame"]),
    default="certainty",
    show_default=True,
    help="How to choose the region.",
)
@click.option("--kind", help="Kind of defect that the region must hold, as `structure defects` names it.")
@click.option("--size-A", "size_A", type=float, help="Side of a square region [Å].")
@click.option("--n-atoms", type=int, help="Atoms of a round region, instead of its size.")
@click.option("--number", type=click.IntRange(1), default=1, show_default=True, help="Regions, where they are random.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random regions.")
@click.option("--vacuum-A", "vacuum_A", default=8.0, show_default=True, help="Empty space around the region [Å].")
@click.option("--cell", help="Periodic cell instead: a,b,c [Å] or a,b,c,alpha,beta,gamma [Å, °].")
@json_option
def cells(
    atoms: Path,
    movie: str | None,
    out: Path,
    frame: int | None,
    by: str,
    kind: str | None,
    size_A: float | None,
    n_atoms: int | None,
    number: int,
    seed: int,
    vacuum_A: float,
    cell: str | None,
    as_json: bool,
) -> None:
    """Cut regions out of a frame of ATOMS, end their edges with hydrogen, write extended XYZ and POSCAR."""
    import numpy as np

    from hpcstem.errors import StructureError
    from hpcstem.files import inside
    from hpcstem.structure.bonds import bond_graph
    from hpcstem.structure.defects import DefectKind
    from hpcstem.structure.region_cell import write_region_cell
    from hpcstem.structure.regions import Choice, select_region, similarity

    if kind is not None and kind not in list(DefectKind):
        raise StructureError("kind of defect", kind, f"one of: {', '.join(DefectKind)}")
    if number > 1 and by != "random":
        raise StructureError(f"--number {number}", f"--by {by}", "--by random")
    lattice = _numbers(cell) if cell is not None else None
    table = _read(atoms, movie)
    here = _in_frame(table, int(table.frame.min()) if frame is None else frame)
    whole = bond_graph(here.positions_A, here.species)
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for i in range(number):
        defect = None if kind is None else DefectKind(kind)
        region = select_region(here, Choice(by), size_A, n_atoms, defect, rng)
        patch = here[region.atoms]
        alike = similarity(bond_graph(patch.positions_A, patch.species), whole)
        name = f"{table.movie[0]}-frame-{region.frame:05d}-{by}" + (f"-{i:03d}" if number > 1 else "")
        # The name of the movie is one that a file gives.
        described = write_region_cell(inside(out, name), here, region, vacuum_A, {"seed": seed}, lattice)
        found.append({"file": str(out / f"{name}.xyz"), **described, "similarity_to_frame": round(alike, 4)})
    if as_json:
        echo_json(found)
        return
    for one in found:
        click.echo(
            f"{one['file']}: {one['formula']}, {one['reason']}, likeness to its frame {one['similarity_to_frame']}"
        )


def _read(path: Path, movie: str | None) -> AtomTable:
    """Atoms of one movie.

    Raises
    ------
    StructureError
        No atoms; or several movies, and none or another is named.
    """
    import numpy as np

    from hpcstem.atoms import AtomTable
    from hpcstem.errors import StructureError

    table = AtomTable.read(path)
    names = np.unique(table.movie).tolist()
    if movie is None and len(names) == 1:
        return table
    if movie not in names:
        wanted = f"--movie {names[0]}" if names else "a table with atoms"
        raise StructureError(
            f"movie of {path}", movie or f"{len(names)} movies", f"{wanted}, of {', '.join(names[:10])}"
        )
    return table[table.movie == movie]


def _in_frame(table: AtomTable, frame: int) -> AtomTable:
    """Atoms of a frame.

    Raises
    ------
    StructureError
        There are none.
    """
    from hpcstem.errors import StructureError

    here = table.in_frame(frame)
    if not len(here):
        raise StructureError(f"frame {frame}", "no atoms", f"{table.frame.min()} to {table.frame.max()}")
    return here


def _numbers(text: str) -> list[float]:
    """Numbers, by commas.

    Raises
    ------
    StructureError
        Something else.
    """
    from hpcstem.errors import StructureError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise StructureError("--cell", text, "3 or 6 numbers, by commas") from error


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{name}:{n}" for name, n in counts.items())
