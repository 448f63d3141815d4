"""The launcher that builds Horovod: once for each torch and Python, with stand-ins for both and for the compiler."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCHERS = Path(__file__).parents[1] / "launchers"
# Answers as the Python of an environment would, notes what pip is asked for, and lets it make a wheel.
_PYTHON = """#!/bin/bash
echo "$*" | head -1 >>"{log}"
case "$*" in
  *"import sys, sysconfig, torch"*) echo torch-{torch}-cpython-311-linux-x86_64 ;;
  *"pip wheel"*)
    [ "$("$CXX" -std=gnu++14 x.cpp)" = "-std=gnu++17 x.cpp" ] || exit 9
    while [ "$1" != --wheel-dir ]; do shift; done
    echo wheel >"$2/horovod-0.28.1-cp311.whl" ;;
esac
"""


class Machine:
    """A checkout with its environment, a compiler that says what it was asked, and a place for wheels."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.log = folder, folder / "check out", folder / "log"
        shutil.copytree(LAUNCHERS, self.root / "launchers")
        (self.root / "pyproject.toml").write_text("[project]\n")
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (folder / "tools").mkdir()
        self.program(folder / "tools" / "g++", '#!/bin/sh\necho "$@"\n')
        self.program(folder / "tools" / "cmake", "#!/bin/sh\n")
        self.torch("2.13.0")

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def torch(self, version: str) -> None:
        self.program(self.root / ".venv" / "bin" / "python", _PYTHON.format(log=self.log, torch=version))

    def launch(self, **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.unlink(missing_ok=True)
        known = {k: v for k, v in os.environ.items() if not k.startswith(("HOROVOD", "HPCSTEM")) and k != "CXX"}
        tools = f"{self.folder / 'tools'}:{os.environ['PATH']}"
        wheels = str(self.folder / "wheels")
        return subprocess.run(
            [self.root / "launchers" / "install-horovod"],
            env={**known, "PATH": tools, "HPCSTEM_WHEELS": wheels, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def built(self) -> bool:
        return "pip wheel" in self.log.read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_built_once_with_cpp17_and_installed_twice(machine: Machine) -> None:
    first = machine.launch()
    assert first.returncode == 0, first.stderr
    assert machine.built
    second = machine.launch()
    assert second.returncode == 0, second.stderr
    assert not machine.built
    (wheel,) = (machine.folder / "wheels").rglob("*.whl")
    assert f"pip install --quiet --disable-pip-version-check {wheel}" in machine.log.read_text()
    assert machine.log.read_text().splitlines()[-1] == "-m hpcstem.execution.probe horovod"


@pytest.mark.parametrize("change", ["torch", "options"])
def test_another_torch_or_other_options_are_built_anew(machine: Machine, change: str) -> None:
    machine.launch()
    if change == "torch":
        machine.torch("2.14.0")
    machine.launch(**({} if change == "torch" else {"HOROVOD_GPU_OPERATIONS": "NCCL"}))
    assert machine.built
    assert len(list((machine.folder / "wheels").rglob("*.whl"))) == 2


def test_a_missing_compiler_is_named_with_what_to_install(machine: Machine) -> None:
    launched = machine.launch(CXX="no-such-compiler")
    assert launched.returncode == 2
    assert "no no-such-compiler" in launched.stderr
    assert "apt-get install g++" in launched.stderr
