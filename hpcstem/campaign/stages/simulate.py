"""Stage `simulate`: a movie of known truth."""

from __future__ import annotations

from typing import Any

from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign, SimulatedMovieSection
from hpcstem.campaign.stage import Job, Stage


def settings(campaign: Campaign) -> Any:
    """The `simulate` section and the seed."""
    if campaign.simulate is None:
        return None
    return {"simulate": campaign.simulate.model_dump(mode="json"), "seed": campaign.seed}


def work(job: Job) -> Outputs:
    """Write `movies/NAME.h5` and the true atoms, `movies/NAME-truth.parquet`."""
    from hpcstem.frames import MovieMetadata, write_movie
    from hpcstem.frames.dose import ELEMENTARY_CHARGE_C
    from hpcstem.imaging.acquisition import Acquisition
    from hpcstem.imaging.movie import simulate_movie
    from hpcstem.imaging.probe import Probe

    section = job.campaign.simulate
    assert section is not None  # noqa: S101 - a stage without settings does not run
    probe = Probe(section.voltage_kV, section.convergence_mrad, section.source_sigma_A)
    dose = dose_e_per_A2(section)
    acquisition = Acquisition(
        dose_e_per_A2=dose,
        background=section.background,
        contamination=section.contamination,
        contamination_cover=0.3 if section.contamination else 0.0,
        row_jitter_A=section.row_jitter_A,
    )
    frames, truth = simulate_movie(
        section.name,
        section.n_frames,
        section.shape,
        section.pixel_size_A,
        probe,
        acquisition,
        job.seed("simulate"),
        n_silicon=section.n_silicon,
        hole_radius_A=section.hole_radius_A,
        events_per_frame=section.events_per_frame,
        thermal_A=section.thermal_A,
        drift_A_per_frame=section.drift_A_per_frame,
    )
    area_A2 = section.shape[0] * section.shape[1] * section.pixel_size_A**2
    electrons = dose * area_A2
    metadata = MovieMetadata(
        pixel_size_A=section.pixel_size_A,
        frame_time_s=section.frame_time_s,
        beam_current_pA=electrons * ELEMENTARY_CHARGE_C / section.frame_time_s * 1e12,
        voltage_kV=section.voltage_kV,
        convergence_angle_mrad=section.convergence_mrad,
        source="simulated by hpcstem",
    )
    movie_path = job.run.path(f"movies/{section.name}.h5")
    truth_path = job.run.path(f"movies/{section.name}-truth.parquet")
    movie_path.parent.mkdir(parents=True, exist_ok=True)
    write_movie(movie_path, frames, metadata)
    truth.write(truth_path)
    return Outputs((movie_path, truth_path))


def dose_e_per_A2(section: SimulatedMovieSection) -> float:
    """Dose that gives the number of detected electrons per carbon atom that the section asks for [e⁻/Å²]."""
    from hpcstem.imaging.probe import annular_cross_section_A2

    return section.electrons_per_carbon / annular_cross_section_A2(section.voltage_kV)


STAGE = Stage("simulate", "take a simulated movie of known truth", (), settings, work)
