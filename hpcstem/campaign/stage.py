"""What a stage of a campaign is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.run import InputDigests, Outputs, Run
from hpcstem.campaign.schema import Campaign

if TYPE_CHECKING:
    from hpcstem.execution import Executor


@dataclass(frozen=True)
class Job:
    """One campaign in one run directory.

    Parameters
    ----------
    campaign
        What to do.
    run
        Where.
    digests
        SHA-256 of input files.
    make_executor
        Starts the executor of the site; the caller closes it.
    """

    campaign: Campaign
    run: Run
    digests: InputDigests
    make_executor: Callable[[], Executor]

    def seed(self, stage: str) -> np.random.SeedSequence:
        """Random stream of a stage, from the campaign's seed and the stage's name."""
        return np.random.SeedSequence([self.campaign.seed, *stage.encode()])


def _no_inputs(job: Job) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Stage:
    """One step.

    Parameters
    ----------
    name
        One word.
    about
        What it does, one line.
    needs
        Stages whose data it reads.
    settings
        The part of the campaign that its results depend on, as JSON values; None leaves the stage out.
    work
        Does it, and says what it wrote.
    inputs
        Digests of what it reads besides other stages' data.
    version
        Of what `work` writes. Raised by hand in the change that lets the same settings and inputs give other data, so
        that runs of before do the stage again.
    """

    name: str
    about: str
    needs: tuple[str, ...]
    settings: Callable[[Campaign], Any]
    work: Callable[[Job], Outputs]
    inputs: Callable[[Job], dict[str, str]] = _no_inputs
    version: int = 1


@dataclass(frozen=True)
class StageOutcome:
    """What happened to one stage.

    Parameters
    ----------
    name, about
        Of the stage.
    status
        'done' now, 'kept' from before, 'left out' by the campaign, or 'to do' in a dry run.
    seconds
        Time taken now.
    """

    name: str
    about: str
    status: str
    seconds: float = 0.0
