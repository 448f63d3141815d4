"""One campaign from movie to report: nothing is done twice, and what is missing is done again."""

import json
from dataclasses import replace

import pytest
import yaml
from small_run import atoms, hpcstem, site, stages, states, write_campaign

from hpcstem.atoms import AtomTable
from hpcstem.campaign import conduct
from hpcstem.files import read_json

STAGES = ["simulate", "frames", "training", "decode", "structure", "kinetics", "potentials", "simulation", "report"]
LEFT_OUT = {"training", "kinetics"}


def status_of(run, *options):
    """What a run of the campaign says of each stage."""
    return stages(hpcstem("run", run.campaign, "--out", run.folder, "--json", *options))


def changed(before, after):
    """Names of files that were changed, made or removed."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_the_first_run_finds_the_atoms_that_are_there(finished_run):
    decoded = read_json(finished_run.folder / "decode" / "decode.json")
    assert (decoded["n_frames"], decoded["n_chunks"], decoded["faults"]) == (3, 3, [])
    assert decoded["truth"]["C"]["recall"] > 0.98
    assert decoded["truth"]["C"]["precision"] > 0.98
    structure = read_json(finished_run.folder / "structure" / "structure.json")
    assert structure["movies"][0]["pixel_size_A"] == pytest.approx(0.1, rel=0.02)
    rdf = read_json(finished_run.folder / "potentials" / "rdf.json")
    assert rdf["first_peak_A"] == pytest.approx(1.42, abs=0.06)
    simulation = read_json(finished_run.folder / "simulation" / "simulation.json")
    assert [job["kind"] for job in simulation["jobs"]] == ["relax", "nvt", "nvt"]
    assert all(job["state"] == "COMPLETED" and job["converged"] for job in simulation["jobs"])
    assert simulation["jobs"][0]["bonds"]["C-C"]["mean_A"] == pytest.approx(1.42, abs=0.05)
    forces = read_json(finished_run.folder / "potentials" / "fits.json")["movies"]
    assert [(movie["name"], movie["fit"]) for movie in forces] == [("sheet", None)]
    assert "linked over 6 frames in a row" in forces[0]["because"]
    assert (finished_run.folder / "report.html").stat().st_size > 100_000


def test_no_temporary_file_and_no_server_is_left(run_here, finished_run):
    assert not list(finished_run.folder.rglob("*.tmp"))
    assert not (finished_run.folder / "simulation" / "database-claim.json").exists()
    assert json.loads(run_here("db", "status", finished_run.folder, "--json")[1])["running"] is False


def test_a_second_run_does_nothing(finished_run):
    before = states(finished_run.folder)
    assert status_of(finished_run) == {name: "left out" if name in LEFT_OUT else "kept" for name in STAGES}
    assert states(finished_run.folder) == before


def test_what_a_run_says_to_people(run_here, finished_run):
    status, out, err = run_here("run", finished_run.campaign, "--out", finished_run.folder)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines == [[name, "kept"] for name in STAGES if name not in LEFT_OUT] + [
        ["report:", str(finished_run.folder / "report.html")]
    ]


def test_only_the_damaged_chunks_are_decoded_again(copied_run):
    serial = site(copied_run.campaign.with_name("serial.yaml"), "serial")
    before = states(copied_run.folder)
    chunks = [f"decode/atoms/sheet/chunk-00000{i}-00000{i + 1}.parquet" for i in (0, 1)]
    cut, altered = (copied_run.folder / chunk for chunk in chunks)
    cut.write_bytes(cut.read_bytes()[:-100])
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    found = status_of(copied_run, "--site", serial, "--until", "simulation")
    assert {name for name, status in found.items() if status == "done"} == {"decode"}
    assert {found[name] for name in ("simulate", "frames", "structure", "potentials", "simulation")} == {"kept"}
    after = states(copied_run.folder)
    assert all(after[chunk][1] == before[chunk][1] for chunk in chunks)
    assert all(after[chunk][0] != before[chunk][0] for chunk in chunks)
    # Besides the chunks, only what tells of this call.
    written_again = {"decode/maps/sheet.npz", "decode/frames/sheet.json"}
    told = {"decode/decode.json", "stages/decode.json", "stages/inputs.json"} | written_again
    assert changed(before, after) - told - {"provenance.json", "campaign.yaml"} == set(chunks)
    assert all(after[name][1] == before[name][1] for name in written_again)
    assert read_json(copied_run.folder / "decode" / "decode.json")["n_chunks_decoded_now"] == 2


def test_a_changed_setting_runs_what_depends_on_it_and_no_more(copied_run):
    before = states(copied_run.folder)
    write_campaign(copied_run.campaign, structure={"region_size_A": 9, "region_by": "certainty"})
    found = status_of(copied_run, "--until", "simulation")
    assert {name: found[name] for name in ("simulate", "frames", "decode", "structure", "simulation")} == {
        "simulate": "kept",
        "frames": "kept",
        "decode": "kept",
        "structure": "done",
        "simulation": "done",
    }
    after = states(copied_run.folder)
    assert not {name for name in changed(before, after) if name.startswith(("movies/", "frames/", "decode/"))}
    assert after["structure/region.xyz"] != before["structure/region.xyz"]
    # The same linked atoms, and so the same RDF.
    assert after["structure/atoms/sheet.parquet"][1] == before["structure/atoms/sheet.parquet"][1]
    simulation = read_json(copied_run.folder / "simulation" / "simulation.json")
    assert len(simulation["jobs"]) == 3
    region = read_json(copied_run.folder / "structure" / "structure.json")["region"]
    assert simulation["comparison"]["n_atoms"] == region["n_atoms"]


def test_a_section_that_is_added_runs_its_stage_and_the_report(run_here, copied_run):
    serial = site(copied_run.campaign.with_name("serial.yaml"), "serial")
    words = ["run", copied_run.campaign, "--out", copied_run.folder, "--site", serial, "--json"]

    def statuses(**changes):
        write_campaign(copied_run.campaign, kinetics={"min_count": 100}, **changes)
        status, out, err = run_here(*words)
        assert status == 0, err
        return {stage["name"]: stage["status"] for stage in json.loads(out)["stages"] if stage["status"] != "kept"}

    assert statuses() == {"training": "left out", "kinetics": "done", "report": "done"}
    assert statuses(potentials={"fit": None}) == {"training": "left out", "potentials": "done", "report": "done"}
    assert statuses(potentials={"fit": None}) == {"training": "left out"}
    page = (copied_run.folder / "report.html").read_text()
    assert "no class seen 100 times" in page
    assert 'id="forces"' not in page
    # What was found by an earlier version of the campaign is not shown as of this one.
    write_campaign(copied_run.campaign, potentials={"fit": None})
    assert run_here(*words)[0] == 0
    assert "no class seen 100 times" not in (copied_run.folder / "report.html").read_text()


def test_trajectories_of_temperatures_that_were_dropped_go(copied_run):
    simulation = {"temperatures_K": [600], "n_steps": 5, "timestep_fs": 0.5, "force_tolerance_eV_A": 0.5}
    write_campaign(copied_run.campaign, simulation=simulation)
    assert status_of(copied_run, "--until", "simulation")["simulation"] == "done"
    assert [path.name for path in copied_run.folder.glob("simulation/nvt-*.xyz")] == ["nvt-600K.xyz"]
    # Nothing was computed again: both jobs were in the queue already.
    found = json.loads(hpcstem("queue", "status", "--db", copied_run.folder, "--json").stdout)
    assert found["counts"] == {"COMPLETED": 3}


def test_another_engine_makes_jobs_of_its_own(run_here, copied_run):
    pytest.importorskip("atomistica")
    engine = {"name": "classical", "potential": "rebo2"}
    simulation = {"engine": engine, "temperatures_K": [300], "n_steps": 5, "force_tolerance_eV_A": 0.5}
    write_campaign(copied_run.campaign, simulation=simulation)
    status, _, err = run_here("run", copied_run.campaign, "--out", copied_run.folder, "--until", "simulation")
    assert status == 0, err
    found = read_json(copied_run.folder / "simulation" / "simulation.json")
    assert "REBO2" in found["method"].upper()
    assert [job["kind"] for job in found["jobs"]] == ["relax", "nvt"]
    assert found["jobs"][0]["bonds"]["C-C"]["mean_A"] == pytest.approx(1.42, abs=0.05)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(run_here, copied_run, tmp_path):
    def plan(*arguments):
        status, out, err = run_here("run", *arguments, "--dry-run", "--json")
        assert (status, err) == (0, "")
        return {stage["name"]: stage["status"] for stage in json.loads(out)["stages"]}

    absent = tmp_path / "absent"
    everything = plan(copied_run.campaign, "--out", absent)
    assert everything == {name: "left out" if name in LEFT_OUT else "to do" for name in STAGES}
    assert not absent.exists()
    before = states(copied_run.folder)
    kept = plan(copied_run.campaign, "--out", copied_run.folder)
    assert kept == {name: "left out" if name in LEFT_OUT else "kept" for name in STAGES}
    write_campaign(copied_run.campaign, structure={"region_size_A": 9})
    found = plan(copied_run.campaign, "--out", copied_run.folder, "--until", "potentials")
    assert list(found) == STAGES[:7]
    assert (found["decode"], found["structure"], found["potentials"]) == ("kept", "to do", "to do")
    assert states(copied_run.folder) == before
    status, out, _ = run_here("run", copied_run.campaign, "--out", absent, "--dry-run")
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["simulate", "to", "do"]
    assert not absent.exists()


def test_a_new_version_of_a_stage_is_to_do_with_all_that_reads_it(run_here, finished_run, monkeypatch):
    newer = [replace(s, version=s.version + 1) if s.name == "structure" else s for s in conduct.STAGES]
    monkeypatch.setattr(conduct, "STAGES", tuple(newer))
    out = run_here("run", finished_run.campaign, "--out", finished_run.folder, "--dry-run", "--json")[1]
    found = {stage["name"]: stage["status"] for stage in json.loads(out)["stages"]}
    assert [name for name in STAGES if found[name] == "to do"] == ["structure", "potentials", "simulation", "report"]


def test_until_stops_after_its_stage(run_here, copied_run, tmp_path):
    status, out, _ = run_here("run", copied_run.campaign, "--out", tmp_path / "until", "--until", "frames", "--json")
    assert status == 0
    found = json.loads(out)
    assert [stage["name"] for stage in found["stages"]] == ["simulate", "frames"]
    assert found["report"] is None
    assert not (tmp_path / "until" / "decode").exists()
    frames = read_json(tmp_path / "until" / "frames" / "frames.json")["movies"][0]
    assert (frames["n_frames"], frames["shape"], frames["pixel_size_A"]) == (3, [256, 256], 0.1)
    assert frames["dose_e_per_A2_per_frame"] > 0
    assert len(frames["accumulated_dose_e_per_A2"]) == 3


def test_a_movie_of_the_command_line_takes_the_place_of_the_simulated_one(finished_run, tmp_path):
    movie = finished_run.folder / "movies" / "sheet.h5"
    serial = site(tmp_path / "serial.yaml", "serial")
    arguments = ["run", finished_run.campaign, "--movie", movie, "--site", serial, "--until", "decode", "--json"]
    found = stages(hpcstem(*arguments, "--out", tmp_path / "run"))
    assert found == {"simulate": "left out", "frames": "done", "training": "left out", "decode": "done"}
    assert atoms(tmp_path / "run") == atoms(finished_run.folder)
    kept = yaml.safe_load((tmp_path / "run" / "campaign.yaml").read_text())
    assert kept["movies"][0]["path"] == str(movie)
    assert kept["simulate"] is None


def test_chunks_of_another_plan_do_not_stay(copied_run):
    folder = copied_run.folder / "decode" / "atoms" / "sheet"
    parts = AtomTable.read(folder)
    (folder / ".chunk-000000-000001.parquet.1.ab.tmp").write_text("half")
    write_campaign(copied_run.campaign, decode={"chunk_MB": 8})
    serial = site(copied_run.campaign.with_name("serial.yaml"), "serial")
    assert status_of(copied_run, "--site", serial, "--until", "decode")["decode"] == "done"
    assert [path.name for path in folder.iterdir()] == ["chunk-000000-000003.parquet"]
    whole = AtomTable.read(folder)
    assert whole.positions_A.tolist() == parts.positions_A.tolist()


def test_the_same_campaign_gives_the_same_files(finished_run, tmp_path):
    """The first frames of a movie do not depend on a run's folder, nor on when it is run."""
    campaign = write_campaign(tmp_path / "again.yaml")
    hpcstem("run", campaign, "--out", tmp_path / "again", "--until", "structure", "--workers", 1)
    one, other = states(finished_run.folder), states(tmp_path / "again")
    names = [name for name in other if name.startswith(("movies/", "decode/atoms", "decode/maps", "structure/"))]
    assert len(names) >= 9
    assert {name: one[name][1] for name in names} == {name: other[name][1] for name in names}


def test_where_no_defect_fits_into_a_region_any_region_will_do(run_here, copied_run):
    write_campaign(copied_run.campaign, structure={"region_size_A": 6, "region_by": "defect"})
    assert run_here("run", copied_run.campaign, "--out", copied_run.folder, "--until", "structure")[0] == 0
    found = read_json(copied_run.folder / "structure" / "structure.json")
    assert found["region"]["reason"].startswith("certainty")
    assert any(frame["defects"] for frame in found["movies"][0]["frames"])
