"""Batch scripts of every shipped site, as files to compare with: `python tests/golden_scripts.py` writes them anew."""

from pathlib import Path

from hpcstem.config import read_yaml
from hpcstem.execution import Site
from hpcstem.execution.batch import BatchJob, render_script

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "golden" / "batch"
SITES = ["andes", "aurora", "frontier", "lsf", "pbs", "perlmutter", "polaris", "slurm", "summit"]
COMMANDS = {
    "frames": ["decode", "/data/movie one.h5", "--out", "/scratch/run", "--site", "S"],
    "training": ["train", "/data/recipe.yaml", "--out", "/scratch/ensemble"],
    "fits": ["potentials", "fit", "/data/study.yaml", "--out", "/scratch/fit"],
    "queue": ["queue", "launch", "--db", "/scratch/db"],
    "dask": ["--odd", "it's $HOME; `id`"],
}
OWN_QUEUES = {"aurora": "capacity", "polaris": "capacity"}


def filled(name: str) -> Site:
    """A shipped site with what its user has to fill in."""
    value = read_yaml(ROOT / "site-configs" / f"{name}.yaml")
    value["scheduler"]["account"] = "ABC123"
    value["scheduler"]["queue"] = value["scheduler"].get("queue") or OWN_QUEUES.get(name)
    return Site.model_validate(value)


def scripts() -> dict[str, str]:
    """Text of each script by the name of its file."""
    found = {}
    for name in SITES:
        site = filled(name)
        sizes = {**dict(site.jobs), "dask": site.jobs.frames}
        for kind, arguments in COMMANDS.items():
            command = ("/opt/hpcstem/bin/hpcstem", *arguments)
            run = Path("/scratch/run")
            job = BatchJob(f"hpcstem-{kind}", kind, command, run, run / f"{kind}.log", sizes[kind])
            found[f"{name}-{kind}.sh"] = render_script(site, job)
    return found


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in FOLDER.glob("*.sh"):
        file.unlink()
    for name, text in scripts().items():
        (FOLDER / name).write_text(text)
