"""The page of the engines has every key as the code has it."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic_core import PydanticUndefined

from hpcstem.simulation import programs
from hpcstem.simulation.constraints import Constraint
from hpcstem.simulation.engine_settings import (
    ASE_CALCULATORS,
    AseSettings,
    ClassicalSettings,
    DftbSettings,
    SpinXtbSettings,
    VaspSettings,
    XtbSettings,
)
from hpcstem.simulation.settings import JobSettings, NVTSettings, RelaxSettings

PAGE = (Path(__file__).parents[3] / "docs" / "engines.md").read_text(encoding="utf-8")
SECTIONS = {
    "## `gfn1-xtb`": XtbSettings,
    "## `spgfn1-xtb`": SpinXtbSettings,
    "## `vasp`": VaspSettings,
    "## `dftb+`": DftbSettings,
    "## `classical`": ClassicalSettings,
    "## `ase`": AseSettings,
    "| relaxation |": RelaxSettings,
    "| dynamics |": NVTSettings,
}


@pytest.mark.parametrize("place", SECTIONS)
def test_every_key_is_there_with_its_default(place):
    below = PAGE.partition(place)[2].partition("\n\n|" if place.startswith("|") else "\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", below, re.MULTILINE))
    shared = set(JobSettings.model_fields) if place.startswith("|") else {"name"}
    fields = {name: field for name, field in SECTIONS[place].model_fields.items() if name not in shared}
    assert list(rows) == list(fields)
    for name, stated in rows.items():
        default = fields[name].get_default(call_default_factory=True)
        wanted = {"required": PydanticUndefined, "none": None}
        expected = wanted[stated.strip()] if stated.strip() in wanted else yaml.safe_load(stated.strip(" `"))
        assert (list(default) if isinstance(default, tuple) else default) == expected, name


def test_variables_constraints_and_calculators():
    variables = [
        value for name, value in vars(programs).items() if name.isupper() and str(value).startswith("HPCSTEM_")
    ]
    assert len(variables) == 4
    for word in [*variables, *map(str, Constraint), *ASE_CALCULATORS]:
        assert f"`{word}`" in PAGE
