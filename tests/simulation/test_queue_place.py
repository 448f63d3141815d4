"""Where a queue is, and who may open its database."""

import json
import secrets

import pytest
from ase.build import molecule
from small_run import run_here  # noqa: F401

from hpcstem.errors import ConfigError
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.place import create_place, is_uri, read_place, with_credentials
from hpcstem.simulation.settings import RelaxSettings
from hpcstem.simulation.workflow import add_relax_nvt

URI = "mongodb://db.example/jobs?tls=true&tlsCAFile=/etc/ca.pem"


@pytest.fixture(autouse=True)
def _no_user(monkeypatch):
    for name in ("HPCSTEM_DATABASE_USER", "HPCSTEM_DATABASE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def secret(tmp_path, text="user: ann\npassword: 'p@ss/word'\n", mode=0o600):
    path = tmp_path / "secret.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_an_embedded_queue(tmp_path):
    place = create_place(tmp_path / "q")
    assert place.address == tmp_path / "q" / "database"
    assert read_place(tmp_path / "q") == place == create_place(tmp_path / "q")


def test_a_mongodb_with_a_file_of_credentials(tmp_path):
    place = create_place(tmp_path / "q", URI, secret(tmp_path))
    assert place.address == "mongodb://ann:p%40ss%2Fword@db.example/jobs?tls=true&tlsCAFile=/etc/ca.pem"
    # The password is nowhere in the folder of the queue.
    assert all("word" not in path.read_text() for path in (tmp_path / "q").iterdir())
    with pytest.raises(ConfigError, match="wanted another folder"):
        create_place(tmp_path / "q", "mongodb://other.example/jobs")


def test_a_mongodb_with_credentials_in_the_environment(monkeypatch):
    assert with_credentials(URI) == URI
    monkeypatch.setenv("HPCSTEM_DATABASE_USER", "bob")
    with pytest.raises(ConfigError, match="HPCSTEM_DATABASE_PASSWORD; got not set"):
        with_credentials(URI)
    monkeypatch.setenv("HPCSTEM_DATABASE_PASSWORD", "x:y")
    assert with_credentials("mongodb+srv://h/d") == "mongodb+srv://bob:x%3Ay@h/d"


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("user: a\npassword: b\n", 0o640, "mode 0640; wanted `chmod 600"),
        ("user: a\n", 0o600, "password"),
        ("user: a\npassword: b\nhost: c\n", 0o600, "unknown key host"),
    ],
)
def test_credentials_that_others_can_read_or_that_lack_something(tmp_path, text, mode, message):
    with pytest.raises(ConfigError, match=message) as error:
        create_place(tmp_path / "q", URI, secret(tmp_path, text, mode))
    assert not (tmp_path / "q" / "queue.json").exists()
    assert "password: b" not in str(error.value)


def test_what_is_no_place(tmp_path):
    with pytest.raises(ConfigError, match="user and password in it"):
        create_place(tmp_path / "q", "mongodb://ann:secret@h/d")
    with pytest.raises(ConfigError, match="URI of the database"):
        create_place(tmp_path / "q", "http://h/d")
    with pytest.raises(ConfigError, match="the embedded database needs none"):
        create_place(tmp_path / "q", None, secret(tmp_path))
    with pytest.raises(ConfigError, match="holds no queue"):
        read_place(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        create_place(tmp_path / "q", URI, tmp_path / "absent.yaml")
    assert [is_uri(text) for text in ("mongodb://h", "mongodb+srv://h", "/folder")] == [True, True, False]


def test_commands_take_a_uri_or_the_folder_of_a_queue_on_it(run_here, server_uri, tmp_path):  # noqa: F811
    uri = f"{server_uri}d{secrets.token_hex(4)}"
    add_relax_nvt(open_launchpad(uri), "h2", molecule("H2"), RelaxSettings())
    assert run_here("queue", "init", "--db", tmp_path / "q", "--uri", uri)[0] == 0
    for db in (uri, tmp_path / "q"):
        status, out, err = run_here("queue", "status", "--db", db, "--json")
        assert status == 0, err
        assert json.loads(out)["counts"] == {"READY": 1}
    status, out, err = run_here("queue", "launch", "--db", uri, "--folder", tmp_path / "files", "--slots", 1)
    assert (status, out.splitlines()[0]) == (0, "1 COMPLETED"), err
    assert list((tmp_path / "files" / "jobs").glob("*/result.json"))
    status, _, err = run_here("queue", "status", "--db", tmp_path / "q", "--folder", tmp_path)
    assert status == 2
    assert "a --db that is a URI" in err
