"""Results of a queue in other forms, energies of adsorption, tables of trajectories, the report."""

import base64
import hashlib
import html
import json
import re
import time

import ase.db
import ase.io
import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import graphene
from small_run import run_here  # noqa: F401

from hpcstem.errors import ConfigError, SimulationError
from hpcstem.files import sha256, write_text
from hpcstem.report.movie import movie
from hpcstem.report.queue import QueueFindings, build_queue_report
from hpcstem.simulation.export import export
from hpcstem.simulation.jobs import NVT, RELAX, JobTree, nvt_job, relax_job
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.place import create_place
from hpcstem.simulation.published import LENGTHS_A
from hpcstem.simulation.queue import queue_status
from hpcstem.simulation.records import adsorption_energies_eV, adsorption_rows, read_records
from hpcstem.simulation.results import JobResult, record_result
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.simulation.structures import to_xyz
from hpcstem.simulation.trajectories import analyse, ring_rows
from hpcstem.simulation.workflow import add_trees
from hpcstem.structure.adsorbates import Place, adsorbate, choose_site, isolated, with_adsorbate
from hpcstem.structure.bonds import bond_graph
from hpcstem.structure.cells import make_cell
from hpcstem.structure.defects_library import stone_wales, without_dangling
from hpcstem.structure.exchange import read_xyz
from hpcstem.structure.graphene import graphene_sheet

ENERGIES_EV = {"sheet": -100.0, "isolated": -20.0, "adsorbed": -122.5}


def recorded(launchpad, folder, job, frames, energy_eV, **found):
    """Record a result as a worker does, with its files."""
    names = {}
    for name, text in (
        ("structure", to_xyz(frames[-1], energy=energy_eV)),
        ("trajectory", "".join(to_xyz(frame, time_fs=10.0 * k) for k, frame in enumerate(frames))),
    ):
        names[name] = f"jobs/{job.key}/{name}.xyz"
        write_text(folder / names[name], text)
    defaults = {
        "key": job.key,
        "name": job.title,
        "kind": job.kind,
        "method": "by hand",
        "energy_eV": energy_eV,
        "converged": True,
        "n_steps": len(frames) - 1,
        "max_force_eV_A": 0.001,
        "temperature_K": None,
        "temperature_std_K": None,
        "drift_eV_atom_ps": None,
        "structure_sha256": sha256(folder / names["structure"]),
        "settings": job.parameters["settings"],
        "wall_s": 1.0,
        "host": "node",
        "versions": {"hpcstem": "0"},
    }
    record_result(launchpad, JobResult(**(defaults | names | found)))


@pytest.fixture
def found(server_uri, tmp_path):
    """A launchpad with a bare sheet, an adsorbate alone, both together, and dynamics of them from top to bridge."""
    launchpad = open_launchpad(f"{server_uri}export{tmp_path.name[-8:]}{time.monotonic_ns()}")
    sheet = graphene(size=(3, 3, 1), vacuum=8.0)
    sheet.pbc = True
    alone = isolated(adsorbate("Cr"))
    placed = [
        with_adsorbate(sheet, adsorbate("Cr"), choose_site(sheet, kind, Place.CENTRE)) for kind in ("top", "bridge")
    ]
    relax = RelaxSettings()
    bare = relax_job("bare", sheet, relax, {"role": "sheet", "structure": "g"})
    free = relax_job("free", alone, relax, {"role": "isolated", "adsorbate": "Cr"})
    labels = {"role": "adsorbed", "structure": "g", "adsorbate": "Cr", "site": "top", "seed": "0"}
    references = {"sheet": bare.key, "isolated": free.key}
    both = relax_job("both", placed[0], relax, labels, references)
    settings = NVTSettings(temperature_K=300, n_steps=1)
    hot = nvt_job("both", both.key, settings, labels | {"temperature_K": "300"}, references)
    add_trees(launchpad, [JobTree(bare), JobTree(free), JobTree(both, (hot,))], "export")
    recorded(launchpad, tmp_path, bare, [sheet], ENERGIES_EV["sheet"])
    recorded(launchpad, tmp_path, free, [alone], ENERGIES_EV["isolated"])
    recorded(launchpad, tmp_path, both, [placed[0]], ENERGIES_EV["adsorbed"])
    motion = {"temperature_K": 290.0, "temperature_std_K": 20.0, "drift_eV_atom_ps": 1e-4, "max_force_eV_A": None}
    recorded(launchpad, tmp_path, hot, placed, -120.0, **motion)
    assert (both.kind, hot.kind) == (RELAX, NVT)
    return launchpad, {"sheet": bare.key, "isolated": free.key, "adsorbed": both.key, "hot": hot.key}


def test_energies_of_adsorption_refer_to_the_jobs_that_they_name(found):
    launchpad, keys = found
    records = read_records(launchpad)
    assert adsorption_energies_eV(records) == {keys["adsorbed"]: pytest.approx(2.5)}
    launchpad.db.results.update_one({"key": keys["isolated"]}, {"$set": {"converged": False}})
    assert adsorption_energies_eV(read_records(launchpad)) == {}


def test_a_table_of_all_jobs(found, tmp_path):
    launchpad, keys = found
    launchpad.db.results.delete_one({"key": keys["hot"]})
    records = read_records(launchpad)
    assert export(tmp_path / "jobs.parquet", records, adsorption_energies_eV(records), tmp_path) == 4
    rows = {row["key"]: row for row in pq.read_table(tmp_path / "jobs.parquet").to_pylist()}
    row = rows[keys["adsorbed"]]
    assert (row["adsorption_energy_eV"], row["site"], row["seed"]) == (pytest.approx(2.5), "top", 0.0)
    assert json.loads(row["settings"])["engine"]["name"] == "gfn1-xtb"
    hot = rows[keys["hot"]]
    assert (hot["state"], hot["energy_eV"], hot["temperature_K"]) == ("WAITING", None, 300.0)


def test_structures_for_training_and_for_ase(found, tmp_path):
    launchpad, keys = found
    records = read_records(launchpad, {"spec.labels.role": {"$in": ["sheet", "adsorbed"]}})
    energies_eV = adsorption_energies_eV(read_records(launchpad))
    assert export(tmp_path / "s.xyz", records, energies_eV, tmp_path) == 3
    frames, provenance = read_xyz(tmp_path / "s.xyz")
    assert [frame.get_potential_energy() for frame in frames] == [-100.0, -122.5, -120.0]
    assert frames[1].info["key"] == keys["adsorbed"]
    assert provenance["versions"] == {"hpcstem": "0"}
    assert len(ase.io.read(tmp_path / "s.xyz", ":")) == 3
    assert export(tmp_path / "s.db", records, energies_eV, tmp_path) == 3
    with ase.db.connect(tmp_path / "s.db") as database:
        (row,) = database.select(kind="relax", site="top")
        assert (row.energy, row.adsorption_energy_eV, row.seed) == (-122.5, pytest.approx(2.5), 0)
        assert row.toatoms().get_chemical_formula() == "C18Cr"
    with pytest.raises(ConfigError, match=r"ends in .xyz, .parquet or .db"):
        export(tmp_path / "s.csv", records, {}, tmp_path)
    with pytest.raises(SimulationError, match="no job with a result"):
        export(tmp_path / "none.xyz", [], {}, tmp_path)
    assert not list(tmp_path.glob(".*.tmp"))


def test_tables_of_a_trajectory(found, tmp_path):
    launchpad, keys = found
    records = read_records(launchpad)
    (table,) = analyse(records, tmp_path, set(keys.values()))
    assert (table["key"], table["n_frames"], table["length_fs"]) == (keys["hot"], 2, 10.0)
    assert table["rings"]["6"] == [9, 9]
    assert (table["temperature_mean_K"], table["bonds_broken_at_end"]) == (290.0, 0)
    assert table["adsorbate"]["share_of_sites"] == {"bridge": 0.5, "top": 0.5}
    assert np.array(table["adsorbate"]["height_A"]) == pytest.approx([2.15, 2.03], abs=0.02)
    (row,) = ring_rows([table])
    assert (row["size"], row["published_length_A"]) == (6, LENGTHS_A[300.0, 6])
    assert row["length_A"] == pytest.approx(1.42, abs=0.01)
    assert list(analyse(records, tmp_path, set())) == []


def test_a_report_with_published_numbers_and_a_trajectory_to_play(found, tmp_path):
    launchpad, keys = found
    energies = "step,time_fs,potential_eV,kinetic_eV,temperature_K,conserved_eV\n"
    energies += "".join(f"{k},{10.0 * k},{-120.0 + k},0.1,{290.0 + k},nan\n" for k in range(2))
    write_text(tmp_path / "jobs" / keys["hot"] / "energies.csv", energies)
    launchpad.fizzle(4, "ValueError: <it> & broke")
    records = read_records(launchpad)
    every = set(keys.values())
    tables, rows = list(analyse(records, tmp_path, every)), adsorption_rows(records, every)
    assert [(row["key"], row["published_above_hollow_eV"]) for row in rows] == [
        (keys["adsorbed"], pytest.approx(3.046))
    ]
    page = build_queue_report(
        QueueFindings(tmp_path, queue_status(launchpad), records, tables, rows), tmp_path / "report.html"
    )
    text = page.read_text()
    for expected in ("2.500", "1.443", "2.165", "top 50 %", "&lt;it&gt; &amp; broke", "1 FIZZLED", "by hand"):
        assert expected in text, expected
    # A browser runs this script alone, and nothing from elsewhere.
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in text
    assert not re.search(r"""(?:src|href)="(?!data:|#)""", text)
    (movie,) = (json.loads(html.unescape(one)) for one in re.findall('data-movie="(.*?)"', text))
    played_A = np.frombuffer(base64.b64decode(movie["positions"]), "<i2").reshape(2, -1, 3) * movie["step_A"]
    moved_A = played_A[1] - played_A[0]
    assert np.linalg.norm(moved_A[:-1], axis=1) == pytest.approx(0.0)
    # The chromium has gone from an atom to the middle of a bond.
    assert np.linalg.norm(moved_A[-1, :2]) == pytest.approx(0.71, abs=0.005)
    assert movie["times_fs"] == [0.0, 10.0]


def test_a_long_trajectory_is_thinned_and_odd_rings_are_coloured():
    whole = graphene_sheet(20.0, 20.0)
    sheet = bond_graph(whole.positions[:, :2], np.array(whole.get_chemical_symbols()))
    middles_A = sheet.positions_A[sheet.edges].mean(axis=1)
    turned = without_dangling(stone_wales(sheet, int(((middles_A - 10.0) ** 2).sum(axis=1).argmin())))
    patch = make_cell(turned.positions_A, turned.species)
    frames = [patch.copy() for _ in range(9)]
    for k, frame in enumerate(frames):
        frame.info["time_fs"] = float(k)
    shown = json.loads(movie(frames, 8 * len(patch) * 4))
    assert (len(shown["times_fs"]), shown["times_fs"][0], shown["times_fs"][-1]) == (4, 0.0, 8.0)
    assert len(shown["positions"]) <= 8 * len(patch) * 4
    assert [sorted(len(ring) for ring in rings) for rings in shown["rings"]] == [[5, 5, 7, 7]] * 4


def test_the_commands(run_here, tmp_path):  # noqa: F811
    create_place(tmp_path / "q")
    launchpad = open_launchpad(tmp_path / "q" / "database", 1.0)
    sheet = graphene(size=(3, 3, 1), vacuum=8.0)
    root = relax_job("g", sheet, RelaxSettings(), {"role": "sheet"})
    child = nvt_job("g", root.key, NVTSettings(temperature_K=300), {"role": "sheet", "temperature_K": "300"})
    add_trees(launchpad, [JobTree(root, (child,))], "g")
    recorded(launchpad, tmp_path / "q", root, [sheet], -1.0)
    motion = {"temperature_K": 290.0, "temperature_std_K": 20.0, "drift_eV_atom_ps": 1e-4, "max_force_eV_A": None}
    recorded(launchpad, tmp_path / "q", child, [sheet, sheet], -1.0, **motion)
    status, out, err = run_here("queue", "analyse", "--db", tmp_path / "q", "--out", tmp_path / "out")
    assert status == 0, err
    assert "g NVT 300 K  6     9       1.420 ± 0.000  120.0 ± 0.0  1.443" in out
    assert "data-movie" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "rings.csv").read_text().splitlines()[0].startswith("name,temperature_K,size")
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert len(found["trajectories"]) == 1
    assert found["counts"] == {"READY": 1, "WAITING": 1}
    (relaxed,) = found["relaxations"]
    assert [(row["size"], row["n_rings"]) for row in relaxed["given"]] == [(6, 9)]
    assert relaxed["given"] == relaxed["relaxed"]
    assert len(ase.io.read(tmp_path / "out" / found["structures"], ":")) == 1
    status, out, err = run_here("queue", "export", tmp_path / "r.xyz", "--db", tmp_path / "q", "--json")
    assert status == 0, err
    assert json.loads(out)["jobs"] == 2
    assert isinstance(ase.io.read(tmp_path / "r.xyz"), Atoms)
