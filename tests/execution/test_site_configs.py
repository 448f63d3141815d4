"""The shipped sites, and files of one's own on top of them."""

import re
from pathlib import Path

import pytest
import yaml

from hpcstem.errors import ConfigError
from hpcstem.execution import Site, load_site
from hpcstem.execution.site import require_submittable, require_within_limits

FOLDER = Path(__file__).parents[2] / "site-configs"
FACILITIES = ["frontier", "andes", "perlmutter", "polaris", "aurora", "summit"]
GENERIC = ["slurm", "pbs", "lsf"]


def own(tmp_path, value):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(value))
    return file


def test_the_shipped_sites_are_these():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*FACILITIES, *GENERIC, "local"}


@pytest.mark.parametrize("name", FACILITIES)
def test_each_fact_of_a_facility_has_a_source(name):
    value = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    site = load_site(name)
    for group in ("scheduler", "node", "network", "launcher"):
        assert group in value, f"{name} says nothing of its {group}"
    for group in ("scheduler", "node", "network", "launcher", "paths", "environment"):
        if group in value:
            assert getattr(site, group).source, f"{name}.{group}"
            assert "verified" in value[group], f"{name}.{group} says a date, or null where nobody has compared it"


@pytest.mark.parametrize("name", [*FACILITIES, *GENERIC])
def test_no_shipped_site_names_an_account_or_a_base(name):
    value = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert "base" not in value
    assert load_site(name).scheduler.account is None


@pytest.mark.parametrize("name", ["frontier", "andes", "perlmutter"])
def test_the_job_sizes_of_a_facility_are_within_its_limits(name):
    site = load_site(name)
    for _, size in site.jobs:
        require_within_limits(site, size.nodes, size.walltime_s)
    require_within_limits(site, 1, site.dask.walltime_s)


def test_a_file_of_ones_own_changes_single_keys_of_a_shipped_site(tmp_path):
    site = load_site(
        own(tmp_path, {"base": "frontier", "retries": 5, "scheduler": {"account": "ABC123", "directives": ["-S 4"]}})
    )
    shipped = load_site("frontier")
    assert site.scheduler == shipped.scheduler.model_copy(update={"account": "ABC123", "directives": ("-S 4",)})
    assert site == shipped.model_copy(update={"retries": 5, "scheduler": site.scheduler})


@pytest.mark.parametrize("base", ["frontyer", "../site-configs/frontier", "mine.yaml", 3])
def test_a_base_is_a_shipped_site(tmp_path, base):
    with pytest.raises(ConfigError, match=r"site-configs|ships with hpcstem"):
        load_site(own(tmp_path, {"base": base}))


@pytest.mark.parametrize(
    "where", ["scheduler.account", "scheduler.queue", "scheduler.qos", "environment.modules", "network.interfaces"]
)
def test_what_a_shell_could_read_otherwise_is_refused(tmp_path, where):
    group, key = where.split(".")
    for bad in ["x\ny", "x;y", "x y", "$(id)", "`id`", "a'b", 'a"b', "x&y", "-x", "", "x|y", "ä"]:
        value = [bad] if key in ("modules", "interfaces") else bad
        with pytest.raises(ConfigError, match=f"{group}.{key}"):
            load_site(own(tmp_path, {"base": "slurm", group: {key: value}}))


@pytest.mark.parametrize(
    ("where", "bad"),
    [
        ("scheduler.directives", ["-q debug\n#SBATCH --uid=0"]),
        ("scheduler.directives", ["-q debug; id"]),
        ("scheduler.constraint", "gpu; id"),
        ("launcher.arguments", ["--mpi=$(id)"]),
        ("environment.setup", ["module load x && id"]),
        ("environment.variables", {"A B": "x"}),
        ("environment.variables", {"A": "`id`"}),
        ("paths.scratch", "relative/folder"),
        ("paths.scratch", "/a/../b"),
        ("paths.scratch", "/a'b"),
        ("paths.scratch", "$(id)"),
        ("paths.proxy", "http://host:1/;id"),
        ("engines.vasp_std", "vasp; id"),
    ],
)
def test_what_leaves_its_place_in_a_script_is_refused(tmp_path, where, bad):
    group, key = where.split(".")
    with pytest.raises(ConfigError, match=rf"{group}\.{key}"):
        load_site(own(tmp_path, {"base": "slurm", group: {key: bad}}))


def test_a_missing_account_is_answered_with_the_lines_to_write(tmp_path):
    with pytest.raises(ConfigError) as error:
        require_submittable(load_site("frontier"), "frontier")
    lines = re.search(r"--site my-site.yaml:\n(.*)", str(error.value), re.DOTALL).group(1)
    written = tmp_path / "my-site.yaml"
    written.write_text("\n".join(line.removeprefix("  ") for line in lines.splitlines()))
    require_submittable(load_site(written), written)


def test_sites_that_take_no_jobs_say_why():
    with pytest.raises(ConfigError, match="decommissioned on 2024-11-15"):
        require_submittable(load_site("summit"), "summit")
    with pytest.raises(ConfigError, match="no batch system"):
        require_submittable(Site(), "local")


@pytest.mark.parametrize(("nodes", "walltime_s", "fits"), [(91, 7200, True), (92, 21600, True), (91, 7260, False)])
def test_a_job_fits_into_one_row_of_the_limits(nodes, walltime_s, fits):
    site = load_site("frontier")
    if fits:
        require_within_limits(site, nodes, walltime_s)
    else:
        with pytest.raises(ConfigError, match=r"job in batch; got 91 nodes for 7260 s; wanted .* 1 to 91 nodes"):
            require_within_limits(site, nodes, walltime_s)


def test_qos_and_constraint_are_of_slurm_only(tmp_path):
    with pytest.raises(ConfigError, match="qos and constraint are Slurm's"):
        load_site(own(tmp_path, {"base": "polaris", "scheduler": {"qos": "debug"}}))
