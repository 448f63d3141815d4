"""The section that shows how defects change, how long they last, and how they move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcstem.report.formatting import UNKNOWN, count, plus_minus, quantity, scientific
from hpcstem.report.page import Absent, Block, Picture, Section, Table, Words
from hpcstem.report.run import Run
from hpcstem.report.style import house_style

if TYPE_CHECKING:
    from hpcstem.kinetics.study import StudyResult

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
    frame_time_s, short = config.frame_time_s, result.matrices[0]
    blocks: list[Block] = [Words(_meaning(result))]
    if result.tests[0].degrees_of_freedom:
        blocks.append(_tests(result))
    if 1 < len(result.classes) <= _MOST_CLASSES:
        figure = house_style(figures.matrix_figure)(short, result.classes, result.counts[0].counts.sum(axis=1))
        caption = (
            "Probability of each class of defect after another, from counts pooled over all movies and tracks, with "
            "the ends of the 95 % intervals of the posterior. Seen less often than "
            f"{config.min_count} times, a class is part of “other”."
        )
        blocks.append(Picture(figure, caption))
    elif len(result.classes) > _MOST_CLASSES:
        blocks.append(Words(f"The transition matrix of {len(result.classes)} classes is in kinetics/matrices.npz."))
    blocks.append(_lifetimes(result, frame_time_s))
    if any(lifetime.events for lifetime in result.lifetimes):
        figure = house_style(figures.survival_figure)(result.dwells, result.lifetimes, result.classes, frame_time_s)
        blocks.append(Picture(figure, "Share of the defects of a class that outlast a time; line, the lifetime above."))
    if result.diffusion:
        blocks.append(_diffusion(result, config.observe.defect_gate_A))
    if result.library:
        caption = (
            f"The most frequent of {count(len(result.library))} structures, over the mean of their images; pale, their "
            "surroundings. All are in kinetics/library."
        )
        blocks.append(Picture(house_style(figures.library_figure)(result.library), caption))
    return Section("kinetics", title, blocks)


def _meaning(result: StudyResult) -> str:
    """Say what the test of independence means for the matrix."""
    test = result.tests[0]
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


def _tests(result: StudyResult) -> Table:
    rows = [
        (
            test.hypothesis,
            scientific(test.p_value) if test.degrees_of_freedom else UNKNOWN,
            count(test.degrees_of_freedom),
            quantity(100 * test.few_counts, 0),
        )
        for test in result.tests
    ]
    header = ("Hypothesis", "p", "Degrees of freedom", "Expected counts below 5 [%]")
    caption = (
        "Tests of the chain at the first lag; p is rough where more than a fifth of the expected counts are small."
    )
    return Table(header, rows, caption)


def _lifetimes(result: StudyResult, frame_time_s: float) -> Table:
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
        for name, lifetime in zip(result.classes, result.lifetimes, strict=True)
    ]
    header = ("Class", "Steps at risk", "Times left", "Lifetime [s]", "95 % interval [s]")
    return Table(header, rows, "Lifetimes: time at risk over the times that the class was left.")


def _diffusion(result: StudyResult, gate_A: float) -> Table:
    rows = [
        (
            name,
            plus_minus(found.coefficient_A2_per_s * _A2_IN_NM2, found.standard_error_A2_per_s * _A2_IN_NM2, 6),
            quantity(found.naive_A2_per_s * _A2_IN_NM2, 6),
            count(found.n_steps),
            count(found.n_tracks),
        )
        for name, found in result.diffusion.items()
    ]
    header = ("Class", "D ± standard error [nm²/s]", "From the mean squared step alone [nm²/s]", "Steps", "Tracks")
    caption = (
        "Diffusion coefficients by the covariance of successive steps, in which localisation noise cancels. Steps "
        f"longer than {quantity(gate_A, 1, 'Å')} were not linked."
    )
    return Table(header, rows, caption)
