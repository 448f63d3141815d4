"""The real movie of a silicon trimer: it stays one class, and does not diffuse once the noise is removed."""

from pathlib import Path

import numpy as np
import pytest

from hpcstem.kinetics.diffusion import SumDisplacements, diffusion
from hpcstem.kinetics.trajectory import ClassTrajectory

MOVIE = "stem/graphene-si/Si3C6_trimer_movie.npz"
OFFSET = (16, 19, 22, 35, 63)
"""Frames that look shifted against the others."""


@pytest.mark.real
def test_trimer_does_not_diffuse_against_its_own_carbon(shared_data: Path) -> None:
    path = shared_data / MOVIE
    if not path.is_file():
        pytest.skip(f"no {MOVIE} in {shared_data}")
    with np.load(path) as movie:
        kept = ~np.isin(movie["frame_index"], OFFSET)
        frame, pixel_A = movie["frame_index"][kept], float(movie["pixel_size_angstrom"])
        trimer_A = movie["si_xy"][kept].mean(axis=1) * pixel_A
        carbon_A = movie["c_xy"][kept].mean(axis=1) * pixel_A
    moving = ClassTrajectory(frame, np.zeros(len(frame), int), trimer_A)
    still = ClassTrajectory(frame, np.zeros(len(frame), int), trimer_A - carbon_A)
    in_frame, in_sheet = (diffusion(SumDisplacements().process([track]), 1.0) for track in (moving, still))
    assert in_sheet.n_steps == (np.diff(frame) == 1).sum()
    assert in_frame.mean_square_step_A2 > 4.0 * in_sheet.mean_square_step_A2
    assert in_sheet.low_A2_per_s < 0.0 < in_sheet.high_A2_per_s
    assert 0.0 < np.sqrt(in_sheet.localisation_variance_A2) < 0.1
