"""A watched folder: files that appear in all the ways in which files appear, and each frame decoded once."""

import io
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from many_movies import PIXEL_A, small_frames

from hpcstem.atoms import AtomTable, read_metadata
from hpcstem.campaign.watching import WatchSettings, watch
from hpcstem.errors import HpcstemError
from hpcstem.files import read_json
from hpcstem.frames import MovieMetadata, write_movie

DEADLINE_S = 300
SETTINGS = WatchSettings(pixel_size_A=PIXEL_A, frame_time_s=17.0, settle_s=0.2, region_size_A=10.0)


class Watched:
    """A watch that runs in the main thread, where signals arrive, and what happens meanwhile in another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder / "scans", folder / "scans" / "out"
        self.folder.mkdir(exist_ok=True)
        self.decoded: list[tuple[str, int]] = []
        self.complaints: list[tuple[str, str]] = []

    def run(self, act=lambda: None, settings=SETTINGS):
        """Watch while `act` runs, then stop as a batch system would."""
        failures = []
        begun = threading.Event()

        def script():
            try:
                assert begun.wait(DEADLINE_S)
                act()
            except BaseException as error:
                failures.append(error)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=script)

        def note(record):
            self.decoded.append((Path(record.path).name, record.frame))

        def complain(path, reason):
            self.complaints.append((path.name, reason.partition(";")[0]))

        thread.start()
        try:
            summary = watch(self.folder, self.out, settings, note, lambda about: begun.set(), complain)
        finally:
            begun.set()
            thread.join()
        if failures:
            raise failures[0]
        return summary

    def state(self, name):
        """What is noted of a file; None until it was handled."""
        path = self.out / "files.json"
        return read_json(path).get(str(self.folder / name)) if path.exists() else None

    def write(self, name, frames):
        """Write a movie elsewhere and rename it into place."""
        write_movie(self.folder / f".{name}.h5", frames, MovieMetadata(pixel_size_A=PIXEL_A))
        os.rename(self.folder / f".{name}.h5", self.folder / name)

    def until(self, so):
        deadline = time.monotonic() + DEADLINE_S
        while not so():
            assert time.monotonic() < deadline, "deadline passed"
            time.sleep(0.02)


@pytest.fixture
def watched(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    # Should a watch end before it is stopped, the signal must not end the tests.
    signal.signal(signal.SIGTERM, lambda *_: None)
    yield Watched(tmp_path)
    signal.signal(signal.SIGTERM, before)


def handled(watched, name, n_frames):
    def so():
        state = watched.state(name)
        return state is not None and state["n_frames"] == n_frames and not state["faults"]

    return so


def test_each_frame_once_however_its_file_comes(watched):
    frames = small_frames()
    watched.write("before.h5", frames[:1])

    def act():
        watched.until(handled(watched, "before.h5", 1))
        watched.write("renamed.h5", frames[:2])
        watched.until(handled(watched, "renamed.h5", 2))
        # In pieces, with a pause: the frames that are whole are decoded, the rest is waited for.
        buffer = io.BytesIO()
        np.save(buffer, frames[:3])
        whole = buffer.getvalue()
        with open(watched.folder / "pieces.npy", "wb") as file:
            file.write(whole[: len(whole) // 2])
            file.flush()
            watched.until(lambda: (watched.state("pieces.npy") or {}).get("faults"))
            assert [kind for _, kind in watched.state("pieces.npy")["faults"]] == ["truncated"] * 2
            file.write(whole[len(whole) // 2 :])
        watched.until(handled(watched, "pieces.npy", 3))
        # What does not open is waited for too.
        (watched.folder / "opens-late.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
        watched.until(lambda: (watched.state("opens-late.h5") or {}).get("problem"))
        watched.write("opens-late.h5", frames[3:])
        watched.until(handled(watched, "opens-late.h5", 1))

    summary = watched.run(act)
    wanted = [("before.h5", 0), ("renamed.h5", 0), ("renamed.h5", 1)]
    wanted += [("pieces.npy", 0), ("pieces.npy", 1), ("pieces.npy", 2), ("opens-late.h5", 0)]
    assert watched.decoded == wanted
    assert (summary.n_files, summary.n_frames, summary.n_frames_now, summary.problems) == (4, 7, 7, {})
    assert summary.latency["n_frames"] == 6, "the file that was there before has no latency"
    assert 0 < summary.latency["latency_median_s"] <= summary.latency["latency_max_s"]
    assert summary.latency["frame_time_s"] == 17.0
    assert not list(watched.out.rglob("*.tmp"))


def test_a_file_that_grows_is_renamed_or_touched_gives_only_what_is_new(watched):
    frames = small_frames()
    watched.write("a.h5", frames[:2])

    def act():
        watched.until(handled(watched, "a.h5", 2))
        watched.write("a.h5", frames)
        watched.until(handled(watched, "a.h5", 4))
        os.rename(watched.folder / "a.h5", watched.folder / "b.h5")
        watched.until(handled(watched, "b.h5", 4))
        mark = watched.state("b.h5")["mark"]
        os.utime(watched.folder / "b.h5", (1, 1))
        watched.until(lambda: watched.state("b.h5")["mark"] != mark)
        changed = frames[:3].copy()
        changed[1] = frames[0]
        watched.write("b.h5", changed)
        watched.until(handled(watched, "b.h5", 3))

    watched.run(act)
    assert watched.decoded == [("a.h5", 0), ("a.h5", 1), ("a.h5", 2), ("a.h5", 3), ("b.h5", 1)]
    (folder,) = watched.out.glob("atoms/*")
    table = AtomTable.read(folder)
    assert set(table.frame) == {0, 1, 2}
    np.testing.assert_array_equal(table.in_frame(0).x_px, table.in_frame(1).x_px)


def test_started_again_it_goes_on(watched):
    frames = small_frames()
    watched.write("a.h5", frames[:2])
    watched.run(lambda: watched.until(handled(watched, "a.h5", 2)))
    files = {path: path.stat().st_mtime_ns for path in watched.out.glob("atoms/*/*")}
    watched.write("b.h5", frames[2:3])
    summary = watched.run(lambda: watched.until(handled(watched, "b.h5", 1)))
    assert (summary.n_frames, summary.n_frames_now) == (3, 1)
    # As after a kill between the atoms and the note on their file.
    (watched.out / "files.json").unlink()
    watched.run(lambda: watched.until(lambda: handled(watched, "a.h5", 2)() and handled(watched, "b.h5", 1)()))
    assert watched.decoded == [("a.h5", 0), ("a.h5", 1), ("b.h5", 0)]
    assert files.items() <= {path: path.stat().st_mtime_ns for path in watched.out.glob("atoms/*/*")}.items()
    other = replace(SETTINGS, pixel_size_A=0.17)
    assert watched.run(lambda: watched.until(lambda: len(watched.decoded) == 6), other).n_frames_now == 3
    with pytest.raises(HpcstemError, match="other settings"):
        watch(watched.folder, watched.out, WatchSettings(refine=False))


def test_where_no_changes_are_told_they_are_seen(watched, monkeypatch):
    monkeypatch.setattr("hpcstem.campaign.watching.folder.file_system_of", lambda path, mounts: "nfs4")

    def act():
        watched.write("a.h5", small_frames(1))
        watched.until(handled(watched, "a.h5", 1))

    watched.run(act)
    assert watched.decoded == [("a.h5", 0)]
    assert "nfs4 tells of no changes" in (watched.out / "report.html").read_text()


def test_the_report_shows_regions_latency_and_what_is_not_decoded(watched):
    watched.write("a.h5", small_frames(2, (192, 192)))
    (watched.folder / "junk.h5").write_bytes(b"junk")
    empty = small_frames(2)
    empty[1] = 0
    watched.write("half.h5", empty)
    watched.write("noise.h5", np.random.default_rng(1).poisson(20.0, (1, 128, 128)).astype(np.float32))

    def act():
        watched.until(lambda: all(watched.state(name) for name in ("a.h5", "junk.h5", "half.h5", "noise.h5")))

    summary = watched.run(act)
    junk = f"{watched.folder}/junk.h5 cannot be opened"
    assert sorted(watched.complaints) == [("half.h5", "frames not decoded: 1 empty"), ("junk.h5", junk)]
    page = (watched.out / "report.html").read_text()
    for text in ("Regions to simulate", "frames within the frame time", "junk.h5", "1 empty", "data:image/png"):
        assert text in page, text
    records = [read_metadata(path) for path in watched.out.glob("atoms/*/*.parquet")]
    unlike = [Path(one["path"]).name for one in records if (one["likeness"]["score"] or 0) > 1]
    assert "noise.h5" in unlike
    assert "a.h5" not in unlike
    assert summary.n_unlike == len(unlike)
    assert f"{len(unlike)} of 3 frames, whose atoms cannot be relied on; latest first. Of 1 more" in page
    assert all(one["survey"]["n_obscured"] == 0 for one in records)
    assert summary.problems.keys() == {str(watched.folder / "junk.h5")}
    regions = read_json(watched.out / "regions.json")
    assert len(regions) == summary.n_regions > 0
    for region in regions:
        atoms = AtomTable.read(watched.out / region["atoms"])
        assert (region["size_A"], 0 < region["score"] <= 1) == (10.0, True)
        assert 0 < region["n_atoms"] <= len(atoms)
        assert atoms.metadata["region"] == {k: region[k] for k in ("centre_A", "size_A", "score", "reason", "n_atoms")}
