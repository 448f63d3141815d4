"""The launchers: what they ask for, what they say where it is missing, and that they do nothing twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHERS = Path(__file__).parents[1] / "launchers"
# A Python that makes environments in which each program writes its name and arguments to a log.
_STAND_IN = """#!/bin/sh
case "$*" in
  *"sys.exit(sys.version_info"*) exit {too_old} ;;
  *"import ensurepip"*) exit {no_venv} ;;
  *"%d.%d"*) echo 3.{minor} ;;
  --version) echo Python 3.{minor}.0 ;;
  "-m venv "*)
    mkdir -p "$3/bin"
    for name in python pip hpcstem ruff mypy lint-imports pytest; do
      printf '#!/bin/sh\\necho "%s $*" >>"%s"\\n' "$name" "{log}" >"$3/bin/$name"
      chmod +x "$3/bin/$name"
    done ;;
esac
"""


class Checkout:
    """A copy of the launchers in a folder of their own, with a stand-in for Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out"
        shutil.copytree(LAUNCHERS, self.root / "launchers")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.python, self.log = folder / "python3", folder / "log"
        self.stand_in()

    def stand_in(self, *, too_old: bool = False, no_venv: bool = False, minor: int = 11) -> None:
        text = _STAND_IN.format(too_old=int(too_old), no_venv=int(no_venv), minor=minor, log=self.log)
        self.python.write_text(text)
        self.python.chmod(0o755)

    def launch(self, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.unlink(missing_ok=True)
        known = {key: value for key, value in os.environ.items() if key not in ("HPCSTEM_VENV", "PYTHON")}
        return subprocess.run(
            [self.root / "launchers" / name, *arguments],
            env={**known, "PYTHON": str(self.python), **environment},
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_quickstart_installs_torch_first_then_runs(checkout: Checkout) -> None:
    launched = checkout.launch("quickstart", "--workers", "1")
    root = checkout.root
    pip = "python -m pip install --quiet --disable-pip-version-check"
    assert launched.returncode == 0, launched.stderr
    assert checkout.done == [
        f"{pip} torch==2.13.0",
        f"{pip} --editable {root}[mpi,formats]",
        f"hpcstem run {root}/workflows/quickstart.yaml --out {root}/runs/quickstart --workers 1",
    ]
    assert (root / ".venv").is_dir()


def test_second_call_installs_nothing(checkout: Checkout) -> None:
    checkout.launch("quickstart")
    checkout.launch("quickstart")
    assert [line.split()[0] for line in checkout.done] == ["hpcstem"]


def test_change_of_the_project_installs_again(checkout: Checkout) -> None:
    checkout.launch("quickstart")
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    checkout.launch("quickstart")
    assert len([line for line in checkout.done if " pip install " in line]) == 2


def test_test_runs_every_tool_and_gives_arguments_to_pytest(checkout: Checkout) -> None:
    launched = checkout.launch("test", "tests/test_files.py", "-x")
    assert launched.returncode == 0, launched.stderr
    tools = checkout.done[2:]
    assert [line.split()[0] for line in tools] == ["ruff", "ruff", "mypy", "lint-imports", "pytest"]
    assert tools[-1] == "pytest --numprocesses 2 --dist loadfile tests/test_files.py -x"
    assert f"--editable {checkout.root}[dev,mpi,formats,kinetics,vasp,classical]" in checkout.done[1]


def test_failure_of_a_tool_is_the_launchers(checkout: Checkout) -> None:
    checkout.launch("test")
    (checkout.root / ".venv" / "bin" / "mypy").write_text("#!/bin/sh\nexit 7\n")
    assert checkout.launch("test").returncode == 7
    assert "pytest" not in [line.split()[0] for line in checkout.done]


def test_environment_is_put_where_it_is_asked_for(checkout: Checkout, tmp_path: Path) -> None:
    launched = checkout.launch("quickstart", HPCSTEM_VENV="else where")
    assert launched.returncode == 0, launched.stderr
    assert (tmp_path / "else where" / "bin" / "hpcstem").is_file()
    assert not (checkout.root / ".venv").exists()


def test_old_python_is_named_with_what_to_install(checkout: Checkout) -> None:
    checkout.stand_in(too_old=True, minor=9)
    launched = checkout.launch("quickstart")
    assert launched.returncode == 2
    assert "3.11 or newer; found: Python 3.9.0" in launched.stderr
    assert "apt-get install python3.11 python3.11-venv" in launched.stderr
    assert checkout.done == []


def test_absent_python_is_named(checkout: Checkout) -> None:
    launched = checkout.launch("quickstart", PYTHON="/nowhere/python3")
    assert launched.returncode == 2
    assert "found: no /nowhere/python3" in launched.stderr


def test_missing_venv_module_is_named_with_what_to_install(checkout: Checkout) -> None:
    checkout.stand_in(no_venv=True, minor=12)
    launched = checkout.launch("quickstart")
    assert launched.returncode == 2
    assert "apt-get install python3.12-venv" in launched.stderr


def test_launcher_of_an_installed_package_says_what_to_run(checkout: Checkout) -> None:
    (checkout.root / "pyproject.toml").unlink()
    launched = checkout.launch("quickstart")
    assert launched.returncode == 2
    assert "hpcstem run quickstart" in launched.stderr


def test_this_python_passes_the_checks(checkout: Checkout) -> None:
    source = f'source "{checkout.root}/launchers/setup.sh"; find_python; echo "$python"'
    found = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", source],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == sys.executable, found.stderr
