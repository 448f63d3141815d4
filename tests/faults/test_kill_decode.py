"""Decoding goes on after kill -9, and its files are those of an unbroken run."""

import signal

import pytest
from killing import DEADLINE_S, descendants, finish, kill, n_chunks, started, wait_for, wait_until_gone
from small_run import SMALL, atoms, hpcstem, site, stages, states, write_campaign

N_FRAMES = 16
WORKER = "spawn_main"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The atoms of a run that nothing happens to, and its campaign on two Dask workers."""
    folder = tmp_path_factory.mktemp("unbroken")
    workers = folder / "workers.yaml"
    workers.write_text("executor: dask\nworkers: 2\n")
    simulate = SMALL["simulate"] | {"n_frames": N_FRAMES, "shape": [192, 192]}
    campaign = write_campaign(
        folder / "c.yaml", simulate=simulate, decode={"chunk_MB": 0.15}, simulation=None, site=str(workers)
    )
    serial = site(folder / "serial.yaml", "serial")
    hpcstem("run", campaign, "--out", folder / "run", "--until", "decode", "--site", serial)
    found = atoms(folder / "run")
    assert len(found) == N_FRAMES
    return campaign, found


def decoding(campaign, run):
    """Start the run as far as its atoms."""
    return started("run", campaign, "--out", run, "--until", "decode", "--json")


def test_a_killed_worker_costs_nothing(unbroken, tmp_path):
    campaign, wanted = unbroken
    run = tmp_path / "run"
    with decoding(campaign, run) as program:
        wait_for(lambda: n_chunks(run) >= 1, program)
        workers = descendants(program, WORKER)
        assert len(workers) == 2
        kill(workers[0])
        assert n_chunks(run) < N_FRAMES
        finish(program)
    assert atoms(run) == wanted
    assert not list(run.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_where_it_was(unbroken, tmp_path, how):
    campaign, wanted = unbroken
    run = tmp_path / "run"
    with decoding(campaign, run) as program:
        wait_for(lambda: n_chunks(run) >= 2, program)
        workers = descendants(program, WORKER)
        program.send_signal(how)
        _, err = program.communicate(timeout=DEADLINE_S)
        assert program.returncode != 0
        if how is signal.SIGINT:
            assert program.returncode == 130
            assert err.strip().endswith("hpcstem: stopped; the same command goes on from here")
            assert "Traceback" not in err
    wait_until_gone(workers)
    assert n_chunks(run) < N_FRAMES
    assert not (run / "stages" / "decode.json").exists()
    kept = {name: state for name, state in states(run).items() if name.endswith(".parquet")}
    with decoding(campaign, run) as program:
        finish(program)
    assert atoms(run) == wanted
    after = states(run)
    assert {name: after[name] for name in kept} == kept
    assert not list(run.rglob("*.tmp"))
    done = hpcstem("run", campaign, "--out", run, "--until", "decode", "--json")
    assert stages(done)["decode"] == "kept"
