"""Sections that show the frames, their atoms, and the ensemble's doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpcstem.report.figures_frames import FramePanel, contact_sheet, cropped, uncertainty
from hpcstem.report.formatting import UNKNOWN, count, quantity, scientific
from hpcstem.report.page import Absent, Block, Picture, Section, Table, Words, shortened
from hpcstem.report.records import Fault
from hpcstem.report.run import Run, SampleMaps

_SHOWN_FRAMES = 6
_DETAIL_A = 25.0
_LONGEST_NAME = 34
_LISTED_MOVIES = 500
_LISTED_FAULTS = 50
_LISTED_REASONS = 5
_NONE = np.empty(0)


def frames_section(run: Run) -> Section:
    """Sample frames with their atoms, and how the movies were recorded."""
    blocks: list[Block] = []
    if run.sampled_movies:
        blocks += [_contact_sheet(run), _detail(run)]
    else:
        blocks.append(Absent("Sample frames with their atoms are", "decode"))
    if run.frames:
        blocks += _movie_tables(run)
    else:
        blocks.append(Absent("Pixel sizes, doses and faults are", "frames"))
    return Section("frames", "Frames", blocks)


def uncertainty_section(run: Run) -> Section:
    """Show the sample frame with the largest mean spread beside the ensemble's probability and spread."""
    section = Section("uncertainty", "Uncertainty of the decoding")
    if not run.sampled_movies:
        return Section(section.key, section.title, [Absent("Maps of probability and spread are", "decode")])
    movie = run.sampled_movies[0]
    maps = run.maps(movie)
    worst = int(np.argmax(maps.spread.astype(np.float32).mean(axis=(1, 2))))
    spread = maps.spread[worst].astype(np.float32)
    panel = _panel(run, movie, maps, worst)
    # The maps were made with the recorded pixel size, the panel may have the calibrated one.
    map_pixel_size_A = maps.map_pixel_size_A * panel.pixel_size_A / maps.pixel_size_A
    figure = uncertainty(panel, 1 - maps.probability[worst, 0].astype(np.float32), spread, map_pixel_size_A)
    members = run.decode.model.n_members if run.decode and run.decode.model else None
    over = f"{members} networks" if members and members > 1 else "the ensemble"
    caption = (
        f"{movie}, frame {maps.frame[worst]}, the sample frame with the largest mean spread. Left, the frame "
        "with its decoded atoms; middle, the probability that a pixel belongs to an atom of any species, "
        f"mean over the ensemble; right, its standard deviation over {over} (mean {spread.mean():.3f}, largest "
        f"{spread.max():.3f}). The spread is large where the networks disagree."
    )
    if members == 1:
        caption += " The ensemble has one network: it has no spread, and says nothing of the uncertainty."
    return Section(section.key, section.title, [*_likeness(run), Picture(figure, caption)])


def _likeness(run: Run) -> list[Block]:
    """How far each movie is from the training images, and a plain word about those that are too far."""
    from hpcstem.segmentation.reference import TOO_SMALL

    compared = [
        (movie.name, movie.out_of_distribution)
        for movie in (run.decode.movies if run.decode else [])
        if movie.out_of_distribution is not None
    ]
    if not compared:
        return []
    rows = [
        (
            name,
            TOO_SMALL if one.score is None else quantity(one.score, 2),
            ", ".join(f"{reason.statistic} {quantity(reason.deviation, 1)} σ" for reason in one.reasons),
        )
        for name, one in compared
    ]
    shown, note = shortened(rows, _LISTED_MOVIES, "movies")
    caption = f"Distance of the movies to the training images of the ensemble; 1 is the limit. {note}".strip()
    header = ("Movie", "Score", "Farthest off")
    flagged = [f"{name} ({one.hint})" if one.hint else name for name, one in compared if one.flagged]
    warning = "These movies are not like the training images, and what the ensemble finds in them cannot be relied on: "
    return [
        *([Words(f"{warning}{', '.join(flagged[:_LISTED_MOVIES])}.")] if flagged else []),
        Table(header, shown, caption),
    ]


def _detail(run: Run) -> Picture:
    """Show a part of one frame large, without and with its atoms: the region if its frame was sampled."""
    region = run.structure.region if run.structure else None
    movie = region.movie if region and region.movie in run.sampled_movies else run.sampled_movies[0]
    maps = run.maps(str(movie))
    frames = [int(frame) for frame in maps.frame]
    sample = frames.index(region.frame) if region and region.frame in frames else len(frames) // 2
    panel = _panel(run, str(movie), maps, sample)
    rows, columns = panel.image.shape
    centre_px = panel.square_px[:2] if panel.square_px else (columns / 2, rows / 2)
    shown = cropped(panel, centre_px, round(_DETAIL_A / panel.pixel_size_A))
    plain = replace(shown, title="as read", x_px=_NONE, y_px=_NONE, species=_NONE.astype(np.str_))
    figure = contact_sheet([plain, replace(shown, title="with the decoded atoms")])
    where = "around the region for simulation" if panel.square_px else "at its centre"
    caption = f"{movie}, frame {frames[sample]}: a detail {where}, without and with the decoded atoms."
    return Picture(figure, caption)


def _contact_sheet(run: Run) -> Picture:
    movies = run.sampled_movies[:_SHOWN_FRAMES]
    each = max(1, _SHOWN_FRAMES // len(movies))
    panels = []
    for movie in movies:
        maps = run.maps(movie)
        chosen = np.unique(np.linspace(0, len(maps.frame) - 1, min(each, len(maps.frame))).round().astype(int))
        panels += [_panel(run, movie, maps, int(sample)) for sample in chosen]
    caption = (
        f"Sample frames of {', '.join(movies)}, with a circle around each decoded atom in the colour of its "
        "species. Above each frame, its index and the accumulated dose. Grey levels are stretched "
        "frame by frame."
    )
    if len(run.sampled_movies) > len(movies):
        caption += f" The first {len(movies)} of {len(run.sampled_movies)} movies with sample frames."
    return Picture(contact_sheet(panels), caption)


def _panel(run: Run, movie: str, maps: SampleMaps, sample: int) -> FramePanel:
    frame = int(maps.frame[sample])
    record = run.movie(movie)
    doses = (record.accumulated_dose_e_per_A2 if record else None) or []
    name = movie if len(movie) <= _LONGEST_NAME else f"{movie[: _LONGEST_NAME - 1]}…"
    title = f"{name}\nframe {frame}" if len(run.sampled_movies) > 1 else f"frame {frame}"
    if frame < len(doses) and doses[frame] is not None:
        title += f"  ·  {scientific(doses[frame], 'e⁻/Å²')}"
    pixel_size_A = run.pixel_size_A(movie) or maps.pixel_size_A
    atoms = run.atoms(movie)
    if atoms is None:
        return FramePanel(maps.image[sample], pixel_size_A, title)
    here = atoms.in_frame(frame)
    square = _region_px(run, movie, frame, here.x_px, here.x_A)
    return FramePanel(maps.image[sample], pixel_size_A, title, here.x_px, here.y_px, here.species, square)


def _region_px(
    run: Run, movie: str, frame: int, x_px: np.ndarray, x_A: np.ndarray
) -> tuple[float, float, float] | None:
    """Centre column, centre row and side [px] of the region for simulation, if it lies in this frame."""
    region = run.structure.region if run.structure else None
    if region is None or (region.movie, region.frame) != (movie, frame) or not region.centre_A or not region.size_A:
        return None
    # The atoms say which pixel size their coordinates were made with.
    inside = x_px > 1
    if not inside.any():
        return None
    scale_A = float(np.median(x_A[inside] / x_px[inside]))
    return region.centre_A[0] / scale_A, region.centre_A[1] / scale_A, region.size_A / scale_A


def _movie_tables(run: Run) -> list[Block]:
    movies = run.frames.movies if run.frames else []
    faults = {movie.name: run.faults(movie.name) for movie in movies}
    rows = [
        (
            movie.name,
            movie.source or UNKNOWN,
            f"{movie.shape[0]} × {movie.shape[1]}" if movie.shape else UNKNOWN,
            count(movie.n_frames),
            quantity(movie.pixel_size_A, 4),
            quantity(movie.voltage_kV, 0),
            quantity(movie.beam_current_pA, 1),
            quantity(movie.dwell_time_us, 1),
            quantity(movie.frame_time_s, 2),
            scientific(movie.dose_e_per_A2_per_frame),
            scientific(movie.accumulated_dose_e_per_A2[-1] if movie.accumulated_dose_e_per_A2 else None),
            _fault_count(faults[movie.name]),
        )
        for movie in movies
    ]
    header = (
        "Movie", "Source", "Shape [px]", "Frames", "Pixel size [Å]", "Voltage [kV]", "Current [pA]", "Dwell time [µs]",
        "Frame time [s]", "Dose per frame [e⁻/Å²]", "Accumulated dose [e⁻/Å²]", "Faults",
    )  # fmt: skip
    shown, note = shortened(rows, _LISTED_MOVIES, "movies")
    blocks: list[Block] = [Table(header, shown, f"Movies as recorded; rows × columns. {note}".strip(), text_columns=2)]
    unknown = sorted({movie.dose_unknown_because for movie in movies if movie.dose_unknown_because})
    blocks += [Words(f"Dose not known: {reason}") for reason in unknown[:_LISTED_REASONS]]
    found = [
        (name, count(fault.frame), fault.kind or UNKNOWN, fault.detail or UNKNOWN)
        for name, of_movie in faults.items()
        for fault in of_movie or []
    ]
    if found:
        shown, note = shortened(found, _LISTED_FAULTS, "faults")
        caption = f"Frames with a fault. {note}".strip()
        blocks.append(Table(("Movie", "Frame", "Fault", "Detail"), shown, caption, text_columns=4))
    return blocks


def _fault_count(faults: list[Fault] | None) -> str:
    return UNKNOWN if faults is None else count(len(faults))
