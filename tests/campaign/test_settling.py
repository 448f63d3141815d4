"""When a file counts as closed, and which files of a folder are looked at."""

from pathlib import Path

import pytest

from hpcstem.campaign.watching.folder import file_system_of, movie_files, noticing_changes
from hpcstem.campaign.watching.settling import Settling

A, B = Path("/a.h5"), Path("/b.h5")
MOUNTS = "\n".join(
    [
        "proc /proc proc rw 0 0",
        "/dev/vda / ext4 rw 0 0",
        "10.0.0.1@tcp:/work /lustre/work lustre rw,flock 0 0",
        "tmpfs /lustre/work/ram tmpfs rw 0 0",
        "server:/x /mnt/my\\040disk nfs4 rw 0 0",
        "/dev/vdb /twice ext4 rw 0 0",
        "server:/y /twice nfs rw 0 0",
    ]
)


def test_a_file_is_ready_when_it_has_not_changed_for_a_while():
    settling = Settling(2.0)
    settling.look([(A, "1")], now_s=10)
    assert (settling.ready(11.9), settling.next_due_s(11.5)) == ([], 0.5)
    settling.look([(A, "2")], now_s=11.9)
    assert settling.ready(13.8) == []
    settling.look([(A, "2"), (B, "1")], now_s=13.8)
    assert settling.ready(13.9) == [A]
    assert settling.ready(15.9) == [A, B]


def test_a_file_that_was_handled_is_ready_again_when_it_changes():
    settling = Settling(1.0)
    settling.look([(A, "1")], now_s=0)
    settling.handled(A, "1")
    assert (settling.ready(100), settling.next_due_s(100)) == ([], float("inf"))
    settling.look([(A, "2")], now_s=101)
    assert settling.ready(102) == [A]
    settling.handled(A, "1")
    assert settling.ready(102) == [A], "what was handled is an older state"
    settling.look([], now_s=103)
    assert settling.ready(200) == []


def test_a_file_that_failed_is_tried_again_later_or_when_it_changes():
    settling = Settling(1.0)
    settling.look([(A, "1")], now_s=0)
    settling.try_again(A, now_s=5)
    assert settling.ready(34) == []
    assert settling.ready(35) == [A]
    settling.try_again(A, now_s=35)
    settling.look([(A, "2")], now_s=36)
    assert settling.ready(37) == [A]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/lustre/work/scans", "lustre"),
        ("/lustre/works", "ext4"),
        ("/lustre/work/ram/a", "tmpfs"),
        ("/mnt/my disk/a", "nfs4"),
        ("/twice/a", "nfs"),
    ],
)
def test_the_file_system_of_a_path(path, kind):
    assert file_system_of(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(("kind", "notices"), [("ext4", True), ("lustre", False), ("fuse.sshfs", False)])
def test_network_file_systems_are_looked_at(monkeypatch, tmp_path, kind, notices):
    monkeypatch.setattr("hpcstem.campaign.watching.folder.file_system_of", lambda path, mounts: kind)
    with noticing_changes(tmp_path) as changes:
        assert ("inotify on" in changes.about) == notices
        assert kind in changes.about


def test_without_inotify_watches_left_the_folder_is_looked_at(monkeypatch, tmp_path):
    def refuse(folder, changes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hpcstem.campaign.watching.folder._observer", refuse)
    with noticing_changes(tmp_path) as changes:
        assert changes.about.startswith("looking every 1 s, since inotify does not start")


def test_movies_of_a_folder(tmp_path):
    out = tmp_path / "out"
    for name in (
        "a.h5",
        "deep/er/b.TIF",
        ".hidden.h5",
        ".git/c.h5",
        "d.h5.part",
        "e.txt",
        "out/f.h5",
        "s.zarr/zarr.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {str(path.relative_to(tmp_path)) for path in movie_files(tmp_path, out)}
    assert found == {"a.h5", "deep/er/b.TIF", "s.zarr"}
