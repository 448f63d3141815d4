"""Entry point: finds the command, and turns a user's mistake into one message and an exit status."""

from __future__ import annotations

import importlib
import sys

import click

import hpcstem
from hpcstem.errors import HpcstemError

_COMMANDS = {
    "run": ("hpcstem.cli.run", "Run a campaign: every stage that is not done yet."),
    "submit": ("hpcstem.cli.submit", "Submit a campaign to a batch system, one job per stage."),
    "batch": ("hpcstem.cli.batch", "Submit one hpcstem command as a batch job."),
    "doctor": ("hpcstem.cli.doctor", "Say what works on this machine, and how to mend the rest."),
    "frames": ("hpcstem.cli.frames", "Look at movies."),
    "simulate-movie": ("hpcstem.cli.simulate_movie", "Take a simulated movie of known truth."),
    "train": ("hpcstem.cli.train", "Train an ensemble on simulated images."),
    "reference": ("hpcstem.cli.reference", "Keep what an ensemble's training images look like."),
    "decode": ("hpcstem.cli.decode", "Find the atoms in movies."),
    "watch": ("hpcstem.cli.watch", "Decode the frames that a microscope writes, as they come."),
    "structure": ("hpcstem.cli.structure", "Rings and defects of decoded atoms; simulation cells from them."),
    "queue": ("hpcstem.cli.queue", "Queue simulations, run them, and see how they go."),
    "db": ("hpcstem.cli.db", "Start and stop the embedded job database of a run."),
    "kinetics": ("hpcstem.cli.kinetics", "Classes, transitions, lifetimes and diffusion of defects."),
    "latent": ("hpcstem.cli.latent", "What sub-images around atoms are made of, with and without their turns."),
    "lattice": ("hpcstem.cli.lattice", "Lattice models of alloys and order-parameter profiles."),
    "potentials": ("hpcstem.cli.potentials", "Distributions and pair potentials from observed motion."),
    "report": ("hpcstem.cli.report", "Write the HTML report of a run."),
}


class _Commands(click.Group):
    """Imports a command's module only when it is called, so that `hpcstem` starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hpcstem.__version__, prog_name="hpcstem")
def cli() -> None:
    """From STEM movies to atoms, structures and first-principles simulations."""


def main() -> None:
    """Run the command line; exit with 0, or with the status of the error."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:  # what click makes of Ctrl-C
        click.echo("hpcstem: stopped; the same command goes on from here", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except HpcstemError as error:
        click.echo(f"hpcstem: {error}", err=True)
        sys.exit(error.exit_status)
