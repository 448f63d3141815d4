"""The page on kinetics: every key is there, with the default that the code has."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from hpcstem.kinetics.observation import ObserveConfig
from hpcstem.kinetics.study_config import StudyConfig

PAGE = Path(__file__).parents[2] / "docs" / "kinetics.md"


@pytest.mark.parametrize(("heading", "model"), [("## The study", StudyConfig), ("### `observe`", ObserveConfig)])
def test_every_key_is_documented_with_its_default(heading: str, model: type[BaseModel]) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"{heading}\n")[1].split("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    assert list(rows) == list(model.model_fields)
    for key, stated in rows.items():
        field = model.model_fields[key]
        if stated == "required":
            assert field.is_required(), key
        elif stated not in ("none", "see below"):
            assert _plain(yaml.safe_load(stated.strip("`"))) == _plain(field.default), key


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
