"""`hpcstem structure`, by the installed program."""

import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest

from hpcstem.atoms import AtomTable
from hpcstem.structure.graphene import graphene_sheet

CENTRE_A = np.array([20.0, 20.0])


@pytest.fixture(scope="module")
def atoms(tmp_path_factory):
    """File of two frames of a sheet; the second has a silicon atom in it."""
    positions_A = graphene_sheet(40.0, 40.0, 0.3).positions[:, :2]
    n = len(positions_A)
    species = np.full(2 * n, "C", dtype="<U2")
    species[n + np.argmin(np.linalg.norm(positions_A - CENTRE_A, axis=1))] = "Si"
    x_A, y_A = np.tile(positions_A, (2, 1)).T
    even = {"probability": np.ones(2 * n), "detection": np.ones(2 * n), "sigma_A": np.full(2 * n, 0.05)}
    table = AtomTable(
        movie=np.full(2 * n, "m"),
        frame=np.repeat([0, 1], n),
        x_px=x_A / 0.1,
        y_px=y_A / 0.1,
        x_A=x_A,
        y_A=y_A,
        species=species,
        track=np.full(2 * n, -1),
        **even,
    )
    path = tmp_path_factory.mktemp("atoms") / "m.parquet"
    table.write(path)
    return path


def test_defects_of_each_frame(run_here, atoms):
    status, out, err = run_here("structure", "defects", atoms, "--json")
    assert (status, err) == (0, "")
    first, second = json.loads(out)
    assert first["defects"] == []
    assert {size for size, count in first["rings"].items() if count} == {"6"}
    (silicon,) = second["defects"]
    assert np.linalg.norm(np.array(silicon["centre_A"]) - CENTRE_A) < 1.5
    assert second["atoms"]["Si"] == 1
    status, out, _ = run_here("structure", "defects", atoms, "--frame", "1")
    assert status == 0
    assert silicon["kind"] in out
    assert "Si:1" in out


def test_a_cell_around_the_defect(run_here, tmp_path, atoms):
    arguments = ("--out", tmp_path, "--frame", "1", "--by", "defect", "--n-atoms", "60", "--json")
    status, out, err = run_here("structure", "cells", atoms, *arguments)
    assert (status, err) == (0, "")
    (found,) = json.loads(out)
    cell = ase.io.read(found["file"])
    assert cell.symbols.count("Si") == 1
    assert len(cell) - cell.symbols.count("H") >= 60
    assert not cell.pbc.any()
    poscar = ase.io.read(found["file"].replace(".xyz", ".vasp"))
    assert poscar.get_chemical_formula() == cell.get_chemical_formula() == found["formula"]


def test_random_cells_are_those_of_their_seed(run_here, tmp_path, atoms):
    def centres(folder, seed):
        arguments = ("--by", "random", "--size-A", "12", "--number", "3", "--seed", seed, "--json")
        return [
            one["centre_A"] for one in json.loads(run_here("structure", "cells", atoms, "--out", folder, *arguments)[1])
        ]

    first = centres(tmp_path / "a", 4)
    assert len({tuple(centre) for centre in first}) == 3
    assert centres(tmp_path / "b", 4) == first != centres(tmp_path / "c", 5)
    assert len(list((tmp_path / "a").iterdir())) == 6


def test_a_periodic_cell(run_here, tmp_path, atoms):
    arguments = ("--out", tmp_path, "--size-A", "12", "--cell", "25.786,25.786,25.786", "--json")
    (found,) = json.loads(run_here("structure", "cells", atoms, *arguments)[1])
    cell = ase.io.read(found["file"])
    assert cell.pbc.all()
    assert np.allclose(cell.cell.lengths(), 25.786)


def test_the_name_of_a_movie_does_not_lead_out_of_the_folder(run_here, tmp_path, atoms):
    table = AtomTable.read(atoms)
    replace(table, movie=np.full(len(table), "../m")).write(tmp_path / "other.parquet")
    status, _, err = run_here(
        "structure", "cells", tmp_path / "other.parquet", "--out", tmp_path / "out", "--size-A", 12
    )
    assert status == 2
    assert "leads out of" in err
    assert not list(tmp_path.rglob("*.xyz"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frame", "7", "--size-A", "12"], "frame 7; got no atoms"),
        (["--size-A", "900"], "a smaller region"),
        ([], "one of the two"),
        (["--size-A", "12", "--cell", "a,b"], "3 or 6 numbers"),
        (["--size-A", "12", "--cell", "9,9,9"], "larger cell"),
        (["--size-A", "12", "--kind", "hole5"], "one of: "),
        (["--size-A", "12", "--number", "2"], "--by random"),
        (["--size-A", "12", "--movie", "other"], "--movie m"),
        (["--size-A", "nan"], "side of the region [Å]; got nan"),
        (["--size-A", "12", "--vacuum-A", "-20"], "vacuum around the patch [Å]; got -20"),
    ],
)
def test_what_cannot_be_cut_is_explained(run_here, tmp_path, atoms, arguments, message):
    status, _, err = run_here("structure", "cells", atoms, "--out", tmp_path / "out", *arguments)
    assert status not in (0, 1)
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.xyz"))
