"""Fixtures: a stand-in for VASP and a library of POTCARs of our own making."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpcstem.simulation.programs import POTCAR_LIBRARY, VASP_COMMAND

STANDINS = Path(__file__).parents[2] / "standins"


@pytest.fixture
def potcars(tmp_path: Path) -> Path:
    """Library whose POTCARs have VASP's form and no content."""
    library = tmp_path / "potcars"
    for name, electrons in {"C": 4, "H": 1, "Si": 4, "Cr_pv": 12}.items():
        path = library / name / "POTCAR"
        path.parent.mkdir(parents=True)
        path.write_text(
            f"  PAW_PBE {name} 01Jan2000\n {electrons}.00000000000\n parameters from PSCTR are:\n"
            f"   VRHFIN ={name.split('_')[0]}: s2p2\n   LEXCH  = PE\n   EATOM  =   1.0000 eV,    1.0000 Ry\n"
            f"   TITEL  = PAW_PBE {name} 01Jan2000\n   LULTRA =        F    use ultrasoft PP ?\n"
            f"   ENMAX  =  400.000; ENMIN  =  300.000 eV\n   ZVAL   = {electrons:7.3f}    mass and valenz\n"
            " END of PSCTR-controll parameters\n local part\n 1.00000000E+00 2.00000000E+00\n End of Dataset\n"
        )
    return library


@pytest.fixture
def vasp(potcars: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a site with the stand-in; returns the library of POTCARs."""
    if find_spec("custodian") is None:
        pytest.skip("pip install 'hpcstem[vasp]'")
    monkeypatch.setenv(VASP_COMMAND, f"{sys.executable} {STANDINS / 'vasp_std.py'}")
    monkeypatch.setenv(POTCAR_LIBRARY, str(potcars))
    return potcars
