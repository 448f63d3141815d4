"""Simulated frames of known truth."""

import numpy as np

from hpcstem.imaging import Acquisition, Probe, simulate_movie
from hpcstem.imaging.probe import annular_cross_section_A2

PROBE = Probe()


def acquisition(electrons_per_carbon):
    """As by default, at a dose given in detected electrons per carbon atom."""
    return Acquisition(dose_e_per_A2=electrons_per_carbon / annular_cross_section_A2(PROBE.voltage_kV))


def frames_and_truth(n_frames, shape, pixel_size_A, electrons_per_carbon, seed, **options):
    return simulate_movie(
        "simulated",
        n_frames,
        shape,
        pixel_size_A,
        PROBE,
        acquisition(electrons_per_carbon),
        np.random.SeedSequence(seed),
        **options,
    )
