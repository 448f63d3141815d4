"""The stages of a campaign, in the order in which they run."""

from hpcstem.campaign.stage import Stage
from hpcstem.campaign.stages import (
    decode,
    frames,
    kinetics,
    potentials,
    report,
    simulate,
    simulation,
    structure,
    training,
)

STAGES: tuple[Stage, ...] = (
    simulate.STAGE,
    frames.STAGE,
    training.STAGE,
    decode.STAGE,
    structure.STAGE,
    kinetics.STAGE,
    potentials.STAGE,
    simulation.STAGE,
    report.STAGE,
)
