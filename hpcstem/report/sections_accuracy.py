"""Sections that judge the decoding: against the truth where it is known, and the training of a member."""

from __future__ import annotations

import numpy as np

from hpcstem.report.figures_traces import training_loss
from hpcstem.report.formatting import count, duration, quantity
from hpcstem.report.page import Absent, Block, Picture, Section, Table, Words
from hpcstem.report.run import Run


def truth_section(run: Run) -> Section | None:
    """Compare decoded atoms with the true ones; None where the truth is not known."""
    truth = run.decode.truth if run.decode else None
    if truth is None:
        return None
    tolerance = quantity(truth.tolerance_A, 2, "Å")
    matches = Table(
        ("Species", "True atoms", "Precision", "Recall"),
        [
            (name, count(match.n_true), quantity(match.precision, 4), quantity(match.recall, 4))
            for name, match in truth.species.items()
        ],
        f"A decoded atom is correct if a true atom of its species lies within {tolerance}.",
    )
    positions = Table(
        ("Position", "Value"),
        [
            ("Root-mean-square error per axis", quantity(truth.rmse_A, 4, "Å")),
            ("Cramér–Rao bound", quantity(truth.crlb_A, 4, "Å")),
            ("Ratio", quantity(truth.ratio_to_crlb, 2)),
        ],
        "Error of the matched positions, and the least that an unbiased estimate from the signal of the atom alone can "
        "have at this dose. Networks know lattices too: they may lie below it, and draw atoms towards the lattice.",
    )
    return Section("truth", "Comparison with the true atoms", [matches, positions])


def training_section(run: Run) -> Section:
    """How the small member of the quickstart was trained."""
    training = run.training
    if training is None:
        return Section("training", "Training", [Absent("The training of a member is", "training")])
    blocks: list[Block] = [Words(training.note)] if training.note else []
    if training.loss and len(training.step) == len(training.loss):
        figure = training_loss(np.array(training.step), np.array(training.loss, dtype=float))
        blocks.append(Picture(figure, "Loss of the member trained in this run, on its training images."))
    last_loss = float(training.loss[-1]) if training.loss else None
    row = (count(training.n_parameters), count(training.steps), duration(training.seconds), quantity(last_loss, 4))
    blocks.append(Table(("Parameters", "Steps", "Time", "Last loss"), [row], text_columns=0))
    return Section("training", "Training", blocks)
