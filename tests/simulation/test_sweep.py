"""Sweeps: what they expand to, that more of them adds only what is new, and what is refused before it is queued."""

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import graphene, molecule

from hpcstem.config import checked, shipped_file
from hpcstem.errors import ConfigError, HpcstemError, SimulationError, StructureError
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.queue import queue_counts, queue_status
from hpcstem.simulation.records import read_records
from hpcstem.simulation.structures import from_xyz
from hpcstem.simulation.sweep import check_vacuum, expand, round_patch
from hpcstem.simulation.sweep_config import PatchSection, Sweep, load_sweep
from hpcstem.simulation.workflow import add_trees
from hpcstem.structure.exchange import read_xyz
from hpcstem.structure.rings import find_rings
from hpcstem.structure.sheet import sheet_of

PATCH = {"name": "p", "patch": {"atoms": 24, "vacuum_A": 5}}
BASE = {"name": "s", "structures": [PATCH]}
CARRYING = {"species": ["H", "CH"], "sites": ["top", "bridge"], "poses": ["up", "side"], "dynamics": True}


def sweep(**changes):
    return checked(Sweep, BASE | changes, "sweep")


def titles(plan):
    return sorted(job.title for job in plan.jobs)


def test_every_axis_multiplies(tmp_path):
    plan = expand(
        sweep(
            constraints=["none", "only-z"],
            seeds=[0, 1],
            adsorbates=[CARRYING],
            dynamics={"temperatures_K": [300, 900], "n_steps": 3},
        ),
        tmp_path,
    )
    # On each structure: bare, H on two sites, CH on two sites in two poses; each with two temperatures.
    per_setting = (1 + 2 + 4) * (1 + 2)
    # Alone no adsorbate has a constraint, so each is there once per seed.
    assert len(plan.jobs) == 4 * per_setting + 2 * 2
    assert len({job.key for job in plan.jobs}) == len(plan.jobs)
    roles = [job.labels["role"] for job in plan.jobs]
    assert {role: roles.count(role) for role in set(roles)} == {"sheet": 12, "adsorbed": 72, "isolated": 4}
    hydrogen = [job for job in plan.jobs if job.labels.get("adsorbate") == "H" and job.labels["role"] == "adsorbed"]
    assert all("pose" not in job.labels for job in hydrogen)
    assert "p CH top centre side 0 gfn1-xtb only-z 1 NVT 900 K" in titles(plan)


def test_a_longer_list_adds_only_what_is_new(launchpad, tmp_path):
    few = expand(sweep(dynamics={"temperatures_K": [300], "n_steps": 3}), tmp_path)
    more = expand(sweep(seeds=[0, 1], dynamics={"temperatures_K": [300, 500], "n_steps": 3}), tmp_path)
    assert {job.key for job in few.jobs} < {job.key for job in more.jobs}
    assert add_trees(launchpad, list(few.trees.values()), "s").n_new == 2
    added = add_trees(launchpad, list(more.trees.values()), "s")
    assert (added.n_jobs, added.n_new) == (6, 4)
    assert add_trees(launchpad, list(more.trees.values()), "s").n_new == 0
    assert queue_counts(launchpad) == {"READY": 2, "WAITING": 4}
    # The name, and where the structure file lies, decide nothing.
    renamed = expand(sweep(name="other", structures=[PATCH | {"name": "q"}]), tmp_path)
    assert {job.key for job in renamed.jobs} <= {job.key for job in more.jobs}


def test_an_adsorbate_is_put_on_the_sheet_once_that_is_relaxed(launchpad, tmp_path):
    carried = {"species": ["H"], "sites": ["top"], "dynamics": True}
    given = {
        # Quick, and wrong enough for carbon to move the sheet.
        "engines": [{"name": "ase", "calculator": "emt"}],
        "relax": {"fmax_eV_A": 0.5, "rattle_A": 0.0},
        "dynamics": {"temperatures_K": [300], "n_steps": 1},
    }
    bare, plan = (expand(sweep(**given, **more), tmp_path) for more in ({}, {"adsorbates": [carried]}))
    plan.write_structures(tmp_path)
    add_trees(launchpad, list(bare.trees.values()), "s")
    assert launch(launchpad, tmp_path, workers=1).counts == {"COMPLETED": 2}
    # What comes later, two jobs deep, starts from what the sheet that is there has found.
    assert add_trees(launchpad, list(plan.trees.values()), "s").n_new == 3
    assert queue_counts(launchpad) == {"COMPLETED": 2, "READY": 2, "WAITING": 1}
    assert launch(launchpad, tmp_path, workers=1).counts == {"COMPLETED": 5}
    found = {(one.labels["role"], one.result.kind): one.result for one in read_records(launchpad)}
    sheet, first = (
        read_xyz(tmp_path / found[role, "relax"].trajectory)[0][frame].positions
        for role, frame in (("sheet", -1), ("adsorbed", 0))
    )
    assert first[:-1] == pytest.approx(sheet, abs=1e-7)
    (start,) = plan.structures.keys() & bare.structures.keys()
    assert np.abs(from_xyz(plan.structures[start]).positions - sheet).max() > 0.01
    # In a queue that has none of them yet they wait for one another.
    fresh = sweep(**given, adsorbates=[carried], seeds=[1])
    add_trees(launchpad, list(expand(fresh, tmp_path).trees.values()), "s")
    assert queue_counts(launchpad) == {"COMPLETED": 5, "READY": 2, "WAITING": 3}


def test_jobs_carry_their_place_on_the_axes(launchpad, tmp_path):
    plan = expand(sweep(dynamics={"temperatures_K": [300], "n_steps": 3}), tmp_path)
    add_trees(launchpad, list(plan.trees.values()), "s")
    found = queue_status(launchpad, {"spec.labels.temperature_K": "300"}).jobs
    assert [job.labels["structure"] for job in found] == ["p"]
    plan.write_structures(tmp_path)
    assert len(list((tmp_path / "structures").glob("*.xyz"))) == 1


@pytest.mark.parametrize(
    ("name", "n_jobs", "n_trees"), [("temperature-sweep", 40, 4), ("adsorbates", 30, 5), ("full-cell", 3, 1)]
)
def test_the_shipped_sweeps(name, n_jobs, n_trees):
    path = shipped_file("workflows", name)
    plan = expand(load_sweep(path), path.parent)
    assert (len(plan.jobs), len(plan.trees)) == (n_jobs, n_trees)


def test_a_round_patch_has_the_atoms_asked_for():
    patch = round_patch(PatchSection(atoms=91, hole_radius_A=3.0))
    assert 91 <= sum(patch.numbers == 6) <= 95
    rings = sheet_of(patch).rings
    assert set(rings.sizes.tolist()) == {6}
    assert len(rings.holes) == 1
    assert find_rings(sheet_of(round_patch(PatchSection(atoms=24))).graph).counts((6,)) == {6: 7}


def test_structures_come_from_files_of_many_formats(tmp_path):
    cell = graphene(size=(2, 2, 1), vacuum=8.0)
    cell.pbc = True
    for name in ("POSCAR", "cell.xyz", "cell.cif"):
        cell.write(tmp_path / name)
        entry = {"name": "cell", "file": name}
        plan = expand(sweep(structures=[entry]), tmp_path)
        (text,) = plan.structures.values()
        assert text.count("\nC ") == 8


WRONG = {
    "unknown species": ({"adsorbates": [{"species": ["Xq"]}]}, "species of an adsorbate; got 'Xq'"),
    "unknown molecule": ({"adsorbates": [{"species": ["CH9"]}]}, "near it: CH"),
    "overlap": ({"adsorbates": [{"species": ["Cr"], "height_A": 0.5}]}, "an adsorbate overlaps"),
    "no hole": ({"adsorbates": [{"species": ["H"], "near": ["hole"]}]}, "hole of the sheet; got none"),
    "no such file": ({"structures": [{"name": "x", "file": "x.xyz"}]}, "structure x: cannot read"),
    "two sources": ({"structures": [PATCH | {"file": "x.xyz"}]}, "give either `file:` or `patch:`"),
    "same names": ({"structures": [PATCH, PATCH]}, "named alike: p"),
    "unknown engine": ({"engines": ["gaussian"]}, "engines"),
    "unknown setting": ({"relax": {"fmax": 1}}, "fmax"),
    "axis as setting": ({"relax": {"seed": 1}}, "seed is an axis of the sweep"),
    "unknown key": ({"temperature": 300}, "unknown key temperature"),
    "unknown site": ({"adsorbates": [{"species": ["H"], "sites": ["atop"]}]}, "sites"),
    "a name for a shell": ({"name": "a; rm -rf"}, "name"),
    "coarse thermostat": (
        {"dynamics": {"temperatures_K": [300], "timestep_fs": 50.0}},
        "thermostat_time_fs of at least 5 time steps",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_before_anything_is_queued(tmp_path, change, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(BASE | change))
    with pytest.raises(HpcstemError, match=message) as error:
        expand(load_sweep(path), tmp_path)
    assert isinstance(error.value, ConfigError | StructureError | SimulationError)


def test_a_cell_without_vacuum_is_no_sheet(tmp_path):
    slab = graphene(size=(2, 2, 1), vacuum=1.0)
    slab.pbc = True
    slab.write(tmp_path / "slab.xyz")
    with pytest.raises(StructureError, match=r"vacuum of structure slab; got 2.00 Å; wanted at least 5 Å"):
        expand(sweep(structures=[{"name": "slab", "file": "slab.xyz"}]), tmp_path)
    with pytest.raises(StructureError, match="cell of structure bare"):
        check_vacuum("bare", Atoms("C", pbc=True))
    check_vacuum("free", molecule("CH4"))
    # The sheet may lie across the boundary.
    thick = graphene(size=(2, 2, 1), vacuum=8.0)
    thick.pbc = True
    thick.positions[:, 2] = np.where(np.arange(8) % 2, 0.1, 15.9)
    check_vacuum("across", thick)


def test_a_perimeter_that_is_not_there_is_refused(tmp_path):
    cell = graphene(size=(3, 3, 1), vacuum=8.0)
    cell.pbc = True
    cell.write(tmp_path / "cell.xyz")
    with pytest.raises(StructureError, match="outer edge"):
        expand(sweep(structures=[{"name": "c", "file": "cell.xyz"}], constraints=["perimeter-fixed"]), tmp_path)


def test_an_engine_that_lacks_something_is_said_before_anything_is_queued(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCSTEM_POTCAR_LIBRARY", str(tmp_path / "potcars"))
    monkeypatch.setenv("HPCSTEM_VASP_COMMAND", "true")
    (tmp_path / "potcars" / "C").mkdir(parents=True)
    (tmp_path / "potcars" / "C" / "POTCAR").write_text("PAW_PBE C\n")
    plan = expand(sweep(engines=["gfn1-xtb", "vasp"]), tmp_path)
    with pytest.raises(HpcstemError, match="POTCAR"):
        plan.check_engines()
    expand(sweep(), tmp_path).check_engines()
