"""Configuration files: YAML that is safe, and errors that name the wrong key and the right one."""

import pytest
from pydantic import Field, ValidationError

from hpcstem.config import Section, checked, read_yaml, shipped_file
from hpcstem.errors import ConfigError


class Inner(Section):
    """A section in a list."""

    width_A: float = Field(1.0, gt=0)


class Middle(Section):
    """A section in a section."""

    rows: tuple[Inner, ...] = ()
    deepest: Inner | None = None


class Outer(Section):
    """A whole file."""

    name: str
    middle: Middle = Middle()
    parts: dict[str, Inner] = Field(default_factory=dict)


def test_read_yaml_reads(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: Å\nlist: [1, 2.5]\n", encoding="utf-8")
    assert read_yaml(path) == {"name": "Å", "list": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [1,\n", "is not YAML"),
        (b"a: b: c\n", "is not YAML.*line 1"),
        (b"\tname: x\n", "is not YAML"),
        (b"\xff\xfe\xff", "cannot read"),
        (b"name: a\nname: b\n", "key 'name' is given twice.*line 2"),
        (b"!!python/object/apply:os.system ['true']\n", "is not YAML.*python"),
    ],
)
def test_what_is_not_plain_yaml_is_an_error(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_yaml(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_merge_keys_may_be_overridden(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n")
    assert read_yaml(path)["mine"] == {"a": 1, "b": 3}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="directory"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "x", "midle": {}}, "unknown key midle; did you mean 'middle'"),
        ({"name": "x", "middle": {"row": []}}, r"unknown key middle.row; did you mean 'rows'"),
        ({"name": "x", "middle": {"rows": [{}, {"widthA": 1}]}}, r"middle.rows.1.widthA; did you mean 'width_A'"),
        ({"name": "x", "middle": {"deepest": {"width": 1}}}, r"middle.deepest.width; did you mean 'width_A'"),
        ({"name": "x", "parts": {"one": {"with_A": 1}}}, r"parts.one.with_A; did you mean 'width_A'"),
        ({"name": "x", "zzz": 1}, r"unknown key zzz; known keys: name, middle, parts"),
        ({"middle": {}}, "name: Field required"),
        ({"name": 3}, "name: .*string, got 3"),
        ({"name": "x", "middle": {"rows": [{"width_A": -1}]}}, r"middle.rows.0.width_A: .*greater than 0, got -1"),
        ({"name": "x", "middle": {"deepest": {"width_A": float("inf")}}}, r"width_A: .*finite"),
        ({"name": "x", "middle": {"deepest": {"width_A": float("nan")}}}, r"width_A: .*"),
        ({"name": "x", 1: 2}, "1: Keys should be strings"),
        (["name"], "list; wanted a mapping"),
        (None, "NoneType; wanted a mapping"),
    ],
)
def test_each_mistake_is_named(value, message):
    with pytest.raises(ConfigError, match=message) as error:
        checked(Outer, value, "file.yaml")
    assert str(error.value).startswith("file.yaml")


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        checked(Outer, {"nme": "x", "middle": {"deepest": {"width_A": "wide"}}}, "file.yaml")
    for part in ("did you mean 'name'", "name: Field required", "middle.deepest.width_A", "'wide'"):
        assert part in str(error.value)
    with pytest.raises(ConfigError, match=r"unknown key x4; .*; and 4 more mistakes$") as error:
        checked(Outer, {"name": "x"} | {f"x{number}": 1 for number in range(9)}, "file.yaml")
    assert "x5" not in str(error.value)


def test_sections_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        checked(Outer, {"name": "x"}, "file.yaml").name = "y"


@pytest.mark.parametrize(("kind", "name"), [("workflows", "quickstart"), ("site-configs", "local")])
def test_shipped_files_are_found_by_name(kind, name):
    assert isinstance(read_yaml(shipped_file(kind, name)), dict)


@pytest.mark.parametrize("name", ["quikstart", "../site-configs/local", "", "/etc/passwd"])
def test_shipped_files_of_other_names_are_an_error_that_lists_them(name):
    with pytest.raises(ConfigError, match="quickstart"):
        shipped_file("workflows", name)
