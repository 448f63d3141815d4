"""How the batch jobs of a campaign's stages are started, and how large they are, by the executor of the site."""

import pytest
import yaml
from small_run import SMALL

from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.submission import submit_campaign
from hpcstem.config import checked


@pytest.mark.parametrize("executor", ["dask", "mpi"])
def test_stages_that_spread_work_are_ranks_where_the_site_has_ranks(tmp_path, executor):
    site = {
        "base": "slurm",
        "executor": executor,
        "scheduler": {"account": "ABC123"},
        "node": {"cores": 8, "memory_GB": 16},
        "jobs": {"frames": {"nodes": 2}, "fits": {"nodes": 3, "ranks_per_node": 4}, "queue": {"nodes": 5}},
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    value = SMALL | {"site": str(tmp_path / "site.yaml"), "kinetics": {}}
    jobs = submit_campaign(checked(Campaign, value, "small"), tmp_path / "run", dry_run=True)
    text = {job.stage: job.text for job in jobs if job.text is not None}
    nodes = {stage: int(script.partition("--nodes=")[2].split()[0]) for stage, script in text.items()}
    spread = {"decode": 2, "kinetics": 3, "potentials": 3}
    assert nodes == {"simulate": 2, "frames": 2, "structure": 2, "simulation": 5, "report": 2} | spread
    ranks = {stage for stage, script in text.items() if "\nexec srun" in script}
    assert ranks == (set(spread) if executor == "mpi" else set())
    if executor == "mpi":
        assert "--nodes=3 --ntasks=12 --ntasks-per-node=4" in text["potentials"]
        assert text["potentials"].rstrip().endswith(f"--until potentials --site {tmp_path / 'site.yaml'}")
