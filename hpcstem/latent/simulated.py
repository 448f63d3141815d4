"""A movie of two grains of graphene with silicon and a hole that grows under the beam."""

from __future__ import annotations

import numpy as np

from hpcstem.atoms import AtomTable
from hpcstem.errors import StructureError
from hpcstem.imaging.acquisition import Acquisition, acquire
from hpcstem.imaging.evolution import beam_event
from hpcstem.imaging.movie import truth_of_frame
from hpcstem.imaging.probe import Probe, annular_cross_section_A2
from hpcstem.latent.study_config import SimulateConfig
from hpcstem.structure.bonds import BondGraph
from hpcstem.structure.defects_library import atom_near, hole, silicon_on_three
from hpcstem.structure.grain_boundary import grain_boundary

_MARGIN_A = 8.0
_VOLTAGE_KV = 100.0
_CONVERGENCE_MRAD = 30.0


def simulate_grains(name: str, config: SimulateConfig, seed: np.random.SeedSequence) -> tuple[np.ndarray, AtomTable]:
    """Take the movie.

    Parameters
    ----------
    name
        Name of the movie in the table.
    config
        What it shows and how it is taken.
    seed
        Fixes everything.

    Returns
    -------
    frames : numpy.ndarray
        Detected electrons, with shape (n_frames, rows, columns), float32.
    truth : AtomTable
        Atoms inside each frame, where they were when it was taken.
    """
    structure_seed, *frame_seeds = seed.spawn(1 + config.n_frames)
    rng = np.random.default_rng(structure_seed)
    field_A = np.full(2, config.n_pixels * config.pixel_size_A)
    sheet = _first_sheet(config, field_A, rng)
    probe = Probe(_VOLTAGE_KV, _CONVERGENCE_MRAD, config.source_sigma_A)
    dose_e_per_A2 = config.electrons_per_carbon / annular_cross_section_A2(_VOLTAGE_KV)
    shape = (config.n_pixels, config.n_pixels)
    frames = np.empty((config.n_frames, *shape), np.float32)
    tables = []
    for index, frame_seed in enumerate(frame_seeds):
        for _ in range(rng.poisson(config.events_per_frame) if index else 0):
            sheet = beam_event(sheet, _MARGIN_A, field_A, rng)
        noise = np.random.default_rng(frame_seed)
        positions_A = sheet.positions_A - _MARGIN_A + noise.normal(0, config.thermal_A, sheet.positions_A.shape)
        frames[index], _ = acquire(
            positions_A, sheet.species, shape, config.pixel_size_A, probe, Acquisition(dose_e_per_A2), noise
        )
        tables.append(truth_of_frame(name, index, positions_A, sheet.species, shape, config.pixel_size_A))
    return frames, AtomTable.concatenate(tables)


def _first_sheet(config: SimulateConfig, field_A: np.ndarray, rng: np.random.Generator) -> BondGraph:
    corners_A = np.array([[0.0, 0.0], field_A + 2 * _MARGIN_A])
    # Rows go down: a turn from x to y is clockwise as shown.
    left_rad, right_rad = -np.radians(config.grains_deg)
    sheet = grain_boundary(corners_A, corners_A[1] / 2.0, np.radians(75.0), (float(left_rad), float(right_rad)))
    if config.hole_radius_A > 0:
        sheet = hole(sheet, _MARGIN_A + np.array([0.72, 0.3]) * field_A, config.hole_radius_A)
    placed = 0
    for _ in range(50 * config.n_silicon):
        if placed == config.n_silicon:
            break
        try:
            sheet = silicon_on_three(sheet, atom_near(sheet, _MARGIN_A + rng.uniform(0.15, 0.85, 2) * field_A))
            placed += 1
        except StructureError:
            continue
    return sheet
