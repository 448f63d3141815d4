"""Stages `kinetics` and `potentials`: what is in the motion is found, what is not is said, and nothing stale stays."""

from dataclasses import replace

import numpy as np
import pytest
from known_runs import FIT, INTERVAL_S, MATRIX, changing_defects, kinetics_run, motion_run, moving_atoms, run_with
from scipy.linalg import logm

from hpcstem.campaign.stages import kinetics, potentials
from hpcstem.errors import ExecutionError
from hpcstem.execution import DaskExecutor, SerialExecutor
from hpcstem.files import read_json, write_json
from hpcstem.kinetics.simulated_defects import CLASSES
from hpcstem.potentials.export import read_potential
from hpcstem.potentials.toy import ToySystem
from hpcstem.report.page import Table, Words
from hpcstem.report.run import Run as ReportRun
from hpcstem.report.sections_kinetics import kinetics_section

SECTION = {"cutoff_A": 4.5, "fit": FIT}


class StoppedExecutor(SerialExecutor):
    """Stops as a killed job does, in the middle of the sums of a fit."""

    def run(self, analysis, batches, on_batch=None):
        if len(batches) > 1 and "equations" in repr(analysis).lower():
            super().run(analysis, batches[:2])
            raise ExecutionError("stopped")
        return super().run(analysis, batches, on_batch)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.getbasetemp()


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_forces_that_are_there_are_found(base):
    found = motion_run(base).run.folder / "potentials"
    movie = read_json(found / "fits.json")["movies"][0]
    assert movie["fit"]["identifiable"]
    assert movie["fit"]["pairs"]["C-C"]["identifiable"]
    truth = ToySystem().potentials[0]
    assert movie["fit"]["pairs"]["C-C"]["minimum_A"] == pytest.approx(truth.minimum_A, abs=0.03)
    assert movie["fit"]["pairs"]["C-C"]["depth_meV"] == 4.55
    assert read_potential(found / "fits" / "moving" / "potential.npz").symbols == ("C", "Si")
    names = {path.name for path in (found / "fits" / "moving").iterdir()}
    assert names >= {"potential.npz", "potential.json", "lammps.table", "table_C_Si.xvg"}
    with np.load(found / "rdf.npz") as arrays:
        well = np.nanargmin(arrays["w_C-C"])
        assert arrays["r_A"][well] == pytest.approx(truth.minimum_A, abs=0.1)
        assert 0 < arrays["error_C-C"][well] < -arrays["w_C-C"][well]


def test_a_fit_that_was_stopped_and_then_changed_is_that_of_other_workers_never_stopped(tmp_path):
    tables = [moving_atoms(40)]
    job = run_with(tmp_path / "stopped", tables, INTERVAL_S, potentials=SECTION)
    with pytest.raises(ExecutionError, match="stopped"):
        potentials.work(replace(job, make_executor=StoppedExecutor))
    assert list(job.run.folder.glob("potentials/checkpoints/*/*/*.npz"))
    changed = {"cutoff_A": 4.5, "fit": FIT | {"functions": 12}}
    potentials.work(run_with(tmp_path / "stopped", tables, INTERVAL_S, potentials=changed))
    other = run_with(tmp_path / "whole", tables, INTERVAL_S, potentials=changed)
    potentials.work(replace(other, make_executor=lambda: DaskExecutor(2)))
    whole, stopped = (content(tmp_path / name / "run" / "potentials") for name in ("whole", "stopped"))
    assert stopped == whole
    assert not any(name.startswith("checkpoints") for name in stopped)
    # Few frames tell nothing of forces, and what nobody should use is not made.
    assert not read_json(job.run.path("potentials/fits.json"))["movies"][0]["fit"]["identifiable"]
    assert not any(name.endswith((".table", ".xvg")) for name in stopped)


def test_why_a_movie_cannot_be_fitted_is_said_and_the_others_are(tmp_path):
    tables = [moving_atoms(3, "short"), moving_atoms(20, "long")]
    job = run_with(tmp_path, tables, INTERVAL_S, potentials=SECTION)
    potentials.work(job)
    entries = read_json(job.run.path("potentials/fits.json"))["movies"]
    assert "linked over 6 frames in a row" in entries[0]["because"]
    assert entries[1]["because"] is None
    assert {path.name for path in job.run.path("potentials/fits").iterdir()} == {"long"}
    potentials.work(run_with(tmp_path, tables, INTERVAL_S, potentials=SECTION | {"fit": None}))
    assert not job.run.path("potentials/fits").exists()
    assert not job.run.path("potentials/fits.json").exists()
    timeless = run_with(tmp_path / "timeless", tables[:1], None, potentials=SECTION, kinetics={})
    potentials.work(timeless)
    wanted = "got none; wanted `frame_time_s:` under the movie"
    assert wanted in read_json(timeless.run.path("potentials/fits.json"))["movies"][0]["because"]
    kinetics.work(timeless)
    assert wanted in read_json(timeless.run.path("kinetics/kinetics.json"))["because"]


def test_kinetics_find_the_rates_that_are_there(base):
    folder = kinetics_run(base).run.folder / "kinetics"
    found = read_json(folder / "kinetics.json")
    assert sorted(found["classes"]) == sorted(CLASSES)
    order = [found["classes"].index(name) for name in CLASSES]
    low, high = (np.array(found["transition_matrix"][end])[np.ix_(order, order)] for end in ("low", "high"))
    assert ((low <= MATRIX) & (high >= MATRIX)).sum() >= 8
    assert found["tests"][0]["p_value"] < 1e-6
    assert {path.name for path in (folder / "library").iterdir()} == {"library.json", "structures.xyz", "images.npz"}


def test_movies_of_different_frame_times_share_their_rates(tmp_path):
    """Every second frame of one movie, and movies whose times are as good as one."""
    first, second, third = changing_defects(3, 16)
    slow = first[first.frame % 2 == 0]
    slow = slow.with_columns(frame=slow.frame // 2)
    job = run_with(tmp_path, [slow, second, third], (34.0, 17.0, 17.1), kinetics={"lags": [1]})
    kinetics.work(job)
    found = read_json(job.run.path("kinetics/kinetics.json"))
    assert [chain["frame_time_s"] for chain in found["by_frame_time"]] == [pytest.approx(17.05, abs=0.05), 34.0]
    order = [found["classes"].index(name) for name in CLASSES]
    truth, off = logm(np.array(MATRIX)) / 17.0, ~np.eye(3, dtype=bool)
    low, high = (np.array(found["rates_per_s"][end], float)[np.ix_(order, order)][off] for end in ("low", "high"))
    assert ((low <= truth[off]) & (high >= truth[off])).sum() >= 5
    assert found["rates_per_s"]["agreement"]["p_value"] > 1e-3
    write_json(job.run.path("provenance.json"), {})
    blocks = kinetics_section(ReportRun(job.run.folder)).blocks
    assert [block.text for block in blocks if isinstance(block, Words) and "frame every" in block.text] == [
        f"Movies with a frame every {time_s} s:" for time_s in ("17.05", "34")
    ]
    assert any(isinstance(block, Table) and block.header[1] == "Rate [1/s]" for block in blocks)


def test_movies_are_observed_again_only_when_something_has_changed(base, tmp_path):
    tables = changing_defects(2, 12)
    job = run_with(tmp_path, tables, 17.0, kinetics={"min_count": 3})
    kinetics.work(job)
    observed = sorted(job.run.path("kinetics/movies").iterdir())
    before = [path.stat().st_mtime_ns for path in observed]
    assert len(before) == 2
    kinetics.work(job)
    assert [path.stat().st_mtime_ns for path in observed] == before
    summary = read_json(job.run.path("kinetics/kinetics.json"))
    half = run_with(tmp_path, [table[table.frame < 6] for table in tables], 17.0, kinetics={"min_count": 3})
    kinetics.work(half)
    assert np.sum(read_json(half.run.path("kinetics/kinetics.json"))["counts"]) < np.sum(summary["counts"])
    rare = run_with(tmp_path, tables, 17.0, kinetics={"min_count": 10_000})
    outputs = kinetics.work(rare)
    assert "no class seen 10000 times" in read_json(outputs.data[0])["because"]
    assert not rare.run.path("kinetics/library").exists()
