"""Frames in: lazy movies of every format with their metadata, dose, faults and chunk plan.

Image axes are (row, column) = (y, x), origin at the top left.
"""

from hpcstem.frames.chunks import FrameRange, plan_chunks
from hpcstem.frames.dose import accumulated_dose, dose_per_frame, electrons_per_frame, frame_time_s
from hpcstem.frames.faults import FaultKind, FrameFault, check_frame
from hpcstem.frames.metadata import MovieMetadata
from hpcstem.frames.movie import Movie, open_movie
from hpcstem.frames.writer import write_movie

__all__ = [
    "FaultKind",
    "FrameFault",
    "FrameRange",
    "Movie",
    "MovieMetadata",
    "accumulated_dose",
    "check_frame",
    "dose_per_frame",
    "electrons_per_frame",
    "frame_time_s",
    "open_movie",
    "plan_chunks",
    "write_movie",
]
