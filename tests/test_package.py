"""The package as a whole: what its wheel holds, its docstrings, its layers, its sizes, its version."""

import ast
import os
import statistics
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import hpcstem

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hpcstem"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 450
LARGEST_MEDIAN = 200
# Says where the package is, and reads with it what ships beside the code.
_USE_WHEEL = """
import sys
import hpcstem
from hpcstem.campaign import load_campaign
from hpcstem.config import shipped_file
from hpcstem.execution import load_site
from hpcstem.segmentation import Ensemble
print(hpcstem.__file__)
print(load_campaign(shipped_file("workflows", "quickstart")).name)
print(load_site("local").executor)
print(len(Ensemble.load("graphene-si").weights) > 0)
"""


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(project: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    path = []
    if find_spec(project["build-system"]["build-backend"].split(".")[0]) is None:
        path = [str(folder / "backend")]
        fetched = _pip("install", "--target", path[0], *project["build-system"]["requires"])
        if fetched.returncode != 0:
            pytest.skip(f"the build backend is not installed and cannot be fetched: {fetched.stderr.strip()[-200:]}")
    built = _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT), path=path)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("hpcstem-*.whl"))


def _pip(*arguments: str, path: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": ":".join(path)} if path else {}
    return _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], environment, ROOT)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_wheel_holds_what_the_commands_read(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    beside = {
        f"hpcstem/data/{file.relative_to(ROOT)}"
        for folder in ("launchers", "workflows", "site-configs")
        for file in (ROOT / folder).rglob("*")
        if file.is_file()
    }
    inside = {str(file.relative_to(ROOT)) for file in PACKAGE.rglob("*") if _belongs(file)}
    assert len(beside) > 3
    assert {"hpcstem/py.typed", "hpcstem/report/template.html"} <= inside
    assert any(name.endswith(".safetensors") for name in inside)
    assert beside | inside <= names


def _belongs(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def test_wheel_holds_no_tests_and_no_caches(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if not name.startswith(("hpcstem/", "hpcstem-"))]
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".tmp"))]


def test_unpacked_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    used = _run([sys.executable, "-c", _USE_WHEEL], {"PYTHONPATH": str(tmp_path / "site")}, tmp_path)
    assert used.returncode == 0, used.stderr
    package = str(tmp_path / "site" / "hpcstem" / "__init__.py")
    assert used.stdout.splitlines() == [package, "quickstart", "dask", "True"]


def test_version_is_stated_alike_everywhere(project: dict) -> None:
    version = project["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = next(
        line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line.startswith("## [")
    )
    assert hpcstem.__version__ == version
    assert str(citation["version"]) == version
    assert newest.startswith(f"## [{version}]")


def test_extras_are_declared(project: dict) -> None:
    assert {"mpi", "formats", "vasp", "multislice", "dev", "docs"} <= set(project["project"]["optional-dependencies"])


def test_everything_public_has_a_docstring() -> None:
    undocumented = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name, node in _public(ast.parse(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(node)
    ]
    assert undocumented == []


def _public(
    node: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    yield prefix or "module", node
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}".lstrip(".")
        if isinstance(child, ast.ClassDef):
            yield from _public(child, name)
        else:
            yield name, child


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    too_long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_MODULE}
    assert too_long == {}
    assert statistics.median(lengths.values()) <= LARGEST_MEDIAN


def test_imports_run_down_only() -> None:
    pytest.importorskip("importlinter", reason="import-linter is in the extra dev")
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = _run([sys.executable, "-c", lint, "--no-cache"], {"NO_COLOR": "1"}, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
