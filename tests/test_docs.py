"""The documents: every key, option and format is there as the code has it, and links lead somewhere."""

import re
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from hpcstem.campaign import Campaign, load_campaign
from hpcstem.campaign.stages import STAGES
from hpcstem.cli.main import cli
from hpcstem.config import checked, read_yaml
from hpcstem.execution import Site, load_site
from hpcstem.frames.readers import SUFFIXES
from hpcstem.kinetics.study_config import load_study as load_kinetics
from hpcstem.latent.settings import AutoencoderConfig, RotationalConfig
from hpcstem.latent.settings import TrainingConfig as LatentTrainingConfig
from hpcstem.latent.study_config import SimulateConfig, StudyConfig, UnmixConfig
from hpcstem.latent.study_config import load_study as load_latent
from hpcstem.lattice.study_config import load_study as load_lattice
from hpcstem.potentials.settings import FitSettings, ToySettings
from hpcstem.segmentation import TrainingConfig
from hpcstem.simulation.sweep_config import (
    AdsorbateSection,
    DynamicsSection,
    PatchSection,
    StructureEntry,
    Sweep,
    load_sweep,
)

KINETICS = ("defect-kinetics",)
SWEEPS = ("adsorbates", "full-cell", "temperature-sweep")
LATENT = ("rvae-graphene",)
LATTICE = ("lattice-model", "order-parameter")
POTENTIALS = {"force-matching": FitSettings, "force-matching-toy": ToySettings}
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.yaml"))
NO_DEFAULT = ("required", "none", "see below")


def _sections(model: type[BaseModel], place: str) -> list[tuple[str, type[BaseModel]]]:
    """The model and all models within it, under the headings that they have in the documents."""
    found = [(place, model)]
    for name, field in model.model_fields.items():
        inner = next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        if inner is not None:
            found += _sections(inner, f"`{place.strip('`')}.{name}`" if place.startswith("`") else f"`{name}`")
    return found


def _kinds(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [kind for argument in get_args(annotation) for kind in _kinds(argument)]


def _table(page: Path, heading: str) -> dict[str, str]:
    """Keys and defaults of the first table below a heading."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip("# ") == heading and line.startswith("#"))
    rows: dict[str, str] = {}
    for line in lines[start + 1 :]:
        if line.startswith("#") or (rows and not line.startswith("|")):
            break
        if match := re.match(r"\| `(\w+)` \| ([^|]+) \|", line):
            rows[match[1]] = match[2].strip()
    return rows


def _first_of_each(sections: list[tuple[str, type[BaseModel]]]) -> list[tuple[str, type[BaseModel]]]:
    """Sections without those that are described by an earlier one."""
    return [(place, model) for i, (place, model) in enumerate(sections) if model not in [m for _, m in sections[:i]]]


@pytest.mark.parametrize(
    ("page", "heading", "model"),
    [("campaigns.md", heading, model) for heading, model in _sections(Campaign, "Top level")]
    + [("sites.md", heading, model) for heading, model in _first_of_each(_sections(Site, "Top level"))]
    + [
        ("queue.md", "Sweeps", Sweep),
        ("queue.md", "`structures`", StructureEntry),
        ("queue.md", "`structures.patch`", PatchSection),
        ("queue.md", "`adsorbates`", AdsorbateSection),
        ("queue.md", "`dynamics`", DynamicsSection),
        ("latent.md", "The study", StudyConfig),
        ("latent.md", "`simulate`", SimulateConfig),
        ("latent.md", "`unmix`", UnmixConfig),
        ("latent.md", "`autoencoder`", AutoencoderConfig),
        ("latent.md", "`rotational`", RotationalConfig),
        ("latent.md", "`training`", LatentTrainingConfig),
    ],
)
def test_every_key_is_documented_with_its_default(page: str, heading: str, model: type[BaseModel]) -> None:
    rows = _table(DOCS / page, heading)
    assert list(rows) == list(model.model_fields)
    for key, stated in rows.items():
        default = model.model_fields[key].default
        if stated in NO_DEFAULT:
            wanted = {"required": default is PydanticUndefined, "none": default is None}
            assert wanted.get(stated, isinstance(default, BaseModel)), key
        else:
            assert _plain(default) == _plain(yaml.safe_load(stated.strip("`"))), key


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_every_movie_suffix_is_documented() -> None:
    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in text] == []


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = cli.list_commands(click.Context(cli))
    assert len(commands) > 5
    assert [name for name in commands if f"`hpcstem {name}" not in text] == []


def test_every_option_of_run_is_documented() -> None:
    run = cli.get_command(click.Context(cli), "run")
    options = {option for parameter in run.params for option in parameter.opts if option.startswith("--")}
    stated = set(re.findall(r"^\| `(--[\w-]+)", (DOCS / "campaigns.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert stated == options


def test_every_stage_is_documented_in_order() -> None:
    text = (DOCS / "running.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{stage.name}`" for stage in STAGES) in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_decisions_have_their_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]
    assert re.search(r"^Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert text.startswith(f"# {page.stem[:4]} ")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_valid(path: Path) -> None:
    if path.stem.startswith("train-"):
        assert checked(TrainingConfig, read_yaml(path), str(path)).members > 0
    elif path.stem in KINETICS:
        assert load_kinetics(path)
    elif path.stem in SWEEPS:
        assert load_sweep(path).name == path.stem
    elif path.stem in LATENT:
        assert load_latent(path)
    elif path.stem in LATTICE:
        assert load_lattice(path)
    elif path.stem in POTENTIALS:
        assert checked(POTENTIALS[path.stem], read_yaml(path), str(path))
    else:
        assert load_campaign(path).name == path.stem
    assert f"`{path.stem}`" in (DOCS / "campaigns.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / "site-configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_sites_are_valid(path: Path) -> None:
    assert isinstance(load_site(path), Site)
