"""The section that shows how defects change, how long they last, and how they move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpcstem.report.formatting import UNKNOWN, count, plus_minus, quantity, scientific
from hpcstem.report.page import Absent, Block, Picture, Section, Table, Words
from hpcstem.report.run import Run
from hpcstem.report.style import house_style

if TYPE_CHECKING:
    from hpcstem.kinetics.rates import Rates
    from hpcstem.kinetics.study import ChainResult
    from hpcstem.kinetics.study_config import StudyConfig

_MOST_CLASSES = 10
_CHANCE = 0.05
_MANY_SMALL = 0.2
"""Share of expected counts below 5 from which on a p value is rough."""
_A2_IN_NM2 = 0.01


def kinetics_section(run: Run) -> Section:
    """Transitions between classes of defects, lifetimes, diffusion, and the library of structures."""
    from hpcstem.kinetics import figures

    title = "Kinetics of defects"
    summary = run.kinetics_summary
    if summary is None:
        return Section("kinetics", title, [Absent("Transitions, lifetimes and diffusion of defects are", "kinetics")])
    if run.kinetics is None:
        return Section("kinetics", title, [Words(f"There are no kinetics to show: {summary.because}.")])
    config, result = run.kinetics
    blocks: list[Block] = []
    for chain in result.chains:
        if len(result.chains) > 1:
            blocks.append(Words(f"Movies with a frame every {chain.frame_time_s:g} s:"))
        blocks += _chain(config, result.classes, chain)
    if isinstance(result.rates, str):
        blocks.append(Words(f"Movies of all frame times have no rates in common to show: {result.rates}."))
    elif result.rates is not None:
        blocks.append(_rates(result.classes, result.rates))
    if result.library:
        caption = (
            f"The most frequent of {count(len(result.library))} structures, over the mean of their images; pale, their "
            "surroundings. All are in kinetics/library."
        )
        blocks.append(Picture(house_style(figures.library_figure)(result.library), caption))
    return Section("kinetics", title, blocks)


def _chain(config: StudyConfig, classes: Sequence[str], chain: ChainResult) -> list[Block]:
    from hpcstem.kinetics import figures

    blocks: list[Block] = [Words(_meaning(chain))]
    if chain.tests[0].degrees_of_freedom:
        blocks.append(_tests(chain))
    if 1 < len(classes) <= _MOST_CLASSES:
        seen = chain.counts[0].counts.sum(axis=1)
        figure = house_style(figures.matrix_figure)(chain.matrices[0], classes, seen)
        caption = (
            "Probability of each class of defect after another, from counts pooled over all movies and tracks, with "
            "the ends of the 95 % intervals of the posterior. Seen less often than "
            f"{config.min_count} times, a class is part of “other”."
        )
        blocks.append(Picture(figure, caption))
    elif len(classes) > _MOST_CLASSES:
        blocks.append(Words(f"The transition matrix of {len(classes)} classes is in kinetics/matrices.npz."))
    blocks.append(_lifetimes(classes, chain))
    if any(lifetime.events for lifetime in chain.lifetimes):
        figure = house_style(figures.survival_figure)(chain.dwells, chain.lifetimes, classes, chain.frame_time_s)
        blocks.append(Picture(figure, "Share of the defects of a class that outlast a time; line, the lifetime above."))
    if chain.diffusion:
        blocks.append(_diffusion(chain, config.observe.defect_gate_A))
    return blocks


def _rates(classes: Sequence[str], rates: Rates) -> Table:
    """Rates of the movies of all frame times, one row for each change of class."""
    rows = [
        (
            f"{name} → {other}",
            scientific(rates.estimate[i, j]),
            f"{scientific(rates.low[i, j])} to {scientific(rates.high[i, j])}",
        )
        for i, name in enumerate(classes)
        for j, other in enumerate(classes)
        if i != j and rates.estimate[i, j] > 0
    ]
    caption = (
        "Rates that fit the movies of all frame times best, as a chain that runs on between the frames; p = "
        f"{scientific(rates.agreement.p_value)} for: {rates.agreement.hypothesis}."
    )
    return Table(("Change", "Rate [1/s]", "95 % interval [1/s]"), rows, caption)


def _meaning(chain: ChainResult) -> str:
    """Say what the test of independence means for the matrix."""
    test = chain.tests[0]
    if not test.degrees_of_freedom:
        return "No class was seen to change into another, so that there are no rates to test."
    if test.few_counts > _MANY_SMALL:
        return "Too few transitions were seen to tell whether the frames are slower than the defects."
    if test.p_value > _CHANCE:
        return (
            "The next class does not depend on the present one, as far as can be told: frames may be slower than the "
            "defects, and probabilities of transitions are then no more than the shares of the classes."
        )
    return "The next class depends on the present one: frames are not slower than the defects."


def _tests(chain: ChainResult) -> Table:
    rows = [
        (
            test.hypothesis,
            scientific(test.p_value) if test.degrees_of_freedom else UNKNOWN,
            count(test.degrees_of_freedom),
            quantity(100 * test.few_counts, 0),
        )
        for test in chain.tests
    ]
    header = ("Hypothesis", "p", "Degrees of freedom", "Expected counts below 5 [%]")
    caption = (
        "Tests of the chain at the first lag; p is rough where more than a fifth of the expected counts are small."
    )
    return Table(header, rows, caption)


def _lifetimes(classes: Sequence[str], chain: ChainResult) -> Table:
    frame_time_s = chain.frame_time_s
    rows = [
        (
            name,
            count(lifetime.at_risk),
            count(lifetime.events),
            quantity(lifetime.mean_frames * frame_time_s if lifetime.events else None, 0),
            f"{quantity(lifetime.low_frames * frame_time_s, 0)} to {quantity(lifetime.high_frames * frame_time_s, 0)}"
            if lifetime.events
            else f"above {quantity(lifetime.low_frames * frame_time_s, 0)}",
        )
        for name, lifetime in zip(classes, chain.lifetimes, strict=True)
    ]
    header = ("Class", "Steps at risk", "Times left", "Lifetime [s]", "95 % interval [s]")
    return Table(header, rows, "Lifetimes: time at risk over the times that the class was left.")


def _diffusion(chain: ChainResult, gate_A: float) -> Table:
    rows = [
        (
            name,
            plus_minus(found.coefficient_A2_per_s * _A2_IN_NM2, found.standard_error_A2_per_s * _A2_IN_NM2, 6),
            quantity(found.naive_A2_per_s * _A2_IN_NM2, 6),
            count(found.n_steps),
            count(found.n_tracks),
        )
        for name, found in chain.diffusion.items()
    ]
    header = ("Class", "D ± standard error [nm²/s]", "From the mean squared step alone [nm²/s]", "Steps", "Tracks")
    caption = (
        "Diffusion coefficients by the covariance of successive steps, in which localisation noise cancels. Steps "
        f"longer than {quantity(gate_A, 1, 'Å')} were not linked."
    )
    return Table(header, rows, caption)
