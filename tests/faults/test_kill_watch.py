"""A watch that is killed goes on, decodes nothing twice, and ends in order when told to."""

import json

from killing import DEADLINE_S, kill, started, wait_for
from many_movies import PIXEL_A, small_frames
from small_run import states

from hpcstem.files import read_json
from hpcstem.frames import MovieMetadata, write_movie

N_FRAMES = 30


def test_a_killed_watch_goes_on_where_it_was(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "out"
    frames = small_frames()
    write_movie(scans / "a.h5", frames[[index % 4 for index in range(N_FRAMES)]], MovieMetadata(pixel_size_A=PIXEL_A))
    arguments = ("watch", scans, "--out", out, "--settle-s", 0.2, "--json")
    with started(*arguments) as program:
        wait_for(lambda: len(list(out.glob("atoms/*/*.parquet"))) >= 2, program)
        kill(program)
    before = {name: state for name, state in states(out).items() if name.endswith(".parquet")}
    with started(*arguments) as program:
        wait_for(lambda: (out / "files.json").exists(), program)
        wait_for(lambda: [s["n_frames"] for s in read_json(out / "files.json").values()] == [N_FRAMES], program)
        program.terminate()
        printed, err = program.communicate(timeout=DEADLINE_S)
    assert program.returncode == 0, err
    assert "Traceback" not in err
    found = json.loads(printed)
    assert (found["n_frames"], found["n_frames_now"]) == (N_FRAMES, N_FRAMES - len(before))
    after = states(out)
    assert {name: after[name] for name in before} == before
    assert not list(out.rglob("*.tmp"))
