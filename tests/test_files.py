"""Files are written whole or not at all, hashed by content, and stay in their folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_run import without_privileges  # noqa: F401

from hpcstem.errors import HpcstemError
from hpcstem.files import inside, read_json, sha256, whole_file, write_json, write_text


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_whole_file_makes_its_folder_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with whole_file(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert entries(path.parent) == {"file.txt"}


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), HpcstemError("a mistake")])
def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write_half():
        with whole_file(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "old"
    assert entries(tmp_path) == {"file.txt"}


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(HpcstemError, match="cannot write"), whole_file(tmp_path / "file.txt"):
        pass
    assert entries(tmp_path) == set()


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HpcstemError, match=r"cannot write .*file/inner"):
        write_text(tmp_path / "file" / "inner", "text")


def in_another_process(script: str, *arguments: object, before: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a script, in which `sys.argv[1:]` are the arguments."""
    return subprocess.run(
        [*before, sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    script = """
import resource, sys
from pathlib import Path
from hpcstem.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the system refuses to let a file grow beyond
write_text(Path(sys.argv[1]), "n" * 10_000)
"""
    done = in_another_process(script, path, before=[])
    assert "HpcstemError: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert path.read_text() == "old"
    assert entries(tmp_path) == {"file.txt"}


def test_a_folder_without_write_permission_is_an_error(tmp_path, without_privileges):  # noqa: F811
    tmp_path.chmod(0o555)
    script = "import sys; from pathlib import Path; from hpcstem.files import write_text; "
    script += "write_text(Path(sys.argv[1]), 'text')"
    done = in_another_process(script, tmp_path / "file.txt", before=without_privileges)
    tmp_path.chmod(0o755)
    assert "HpcstemError: cannot write" in done.stderr
    assert "Permission denied" in done.stderr
    assert entries(tmp_path) == set()


def test_two_processes_that_write_the_same_file_leave_one_whole_file(tmp_path):
    script = """
import sys
from pathlib import Path
from hpcstem.files import write_text
for _ in range(200):
    write_text(Path(sys.argv[1]), sys.argv[2] * 5000)
"""
    path = tmp_path / "file.txt"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            seen.add(path.read_text())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {"a" * 5000, "b" * 5000}
    assert entries(tmp_path) == {"file.txt"}


def test_json_round_trip_sorts_keys_and_refuses_nan(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"b": [1, 2.5, None], "a": "Å"})
    assert read_json(path) == {"b": [1, 2.5, None], "a": "Å"}
    assert list(json.loads(path.read_text())) == ["a", "b"]
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"c": float("nan")})
    assert read_json(path)["a"] == "Å"


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"nothing"])
def test_what_is_not_json_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(HpcstemError, match=r"value\.json"):
        read_json(path)


def test_json_that_is_absent_is_an_error(tmp_path):
    with pytest.raises(HpcstemError, match="does not exist"):
        read_json(tmp_path / "value.json")


def test_sha256_of_a_folder_depends_on_names_and_contents(tmp_path):
    folder = tmp_path / "store"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "one").write_text("1")
    (folder / "two").write_text("2")
    first = sha256(folder)
    assert sha256(folder) == first
    (folder / "two").rename(folder / "three")
    renamed = sha256(folder)
    (folder / "three").write_text("3")
    assert len({first, renamed, sha256(folder)}) == 3


def test_sha256_of_nothing_is_the_known_one(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(HpcstemError, match="leads out"):
        inside(tmp_path, name)


def test_a_link_that_leads_out_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    with pytest.raises(HpcstemError, match="leads out"):
        inside(tmp_path / "run", "link/file")


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "/", "//", "~", " "]), max_size=6).map("/".join))
def test_inside_never_leads_out(name):
    folder = Path("/somewhere/run")
    try:
        path = inside(folder, name)
    except HpcstemError:
        return
    assert path != folder
    assert path.is_relative_to(folder)
