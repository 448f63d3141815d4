"""The running report of a watch: one page, rewritten as frames come in."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hpcstem
from hpcstem.campaign.watching.records import FrameRecord, Records
from hpcstem.report.build import write_page
from hpcstem.report.figures_frames import FramePanel, contact_sheet
from hpcstem.report.formatting import count, duration, quantity
from hpcstem.report.page import Block, Facts, Picture, Section, Table, Words, shortened

if TYPE_CHECKING:
    from hpcstem.campaign.watching.decoding import Shown

_MOST_ROWS = 20
_REFRESH_S = 10


def latency_facts(frames: list[FrameRecord], given_frame_time_s: float | None) -> dict[str, float | None]:
    """Latency and time of decoding against the frame time, over the frames of files that came in during a watch.

    Returns
    -------
    dict
        `n_frames`; median, 95th percentile and maximum of the latency; `decode_median_s`; `frame_time_s`, the one that
        was given or the shortest that files state; `share_in_time`, of frames with a latency within it. None where
        there is nothing to say.
    """
    live = [record for record in frames if record.latency_s is not None]
    latencies_s = np.array([record.latency_s for record in live], float)
    stated_s = [record.frame_time_s for record in frames if record.frame_time_s is not None]
    frame_time_s = given_frame_time_s if given_frame_time_s is not None else min(stated_s, default=None)
    known = len(live) > 0
    return {
        "n_frames": len(live),
        "latency_median_s": float(np.median(latencies_s)) if known else None,
        "latency_95_s": float(np.percentile(latencies_s, 95)) if known else None,
        "latency_max_s": float(latencies_s.max()) if known else None,
        "decode_median_s": float(np.median([record.decode_s for record in frames])) if frames else None,
        "frame_time_s": frame_time_s,
        "share_in_time": float((latencies_s <= frame_time_s).mean()) if known and frame_time_s is not None else None,
    }


def write_report(
    records: Records, folder: Path, about: str, last: Shown | None, waiting: int, frame_time_s: float | None
) -> Path:
    """Write `report.html`.

    Parameters
    ----------
    records
        What was decoded.
    folder
        The folder that is watched.
    about
        How changes in it are noticed.
    last
        The frame decoded last, with its image.
    waiting
        Files that are not handled yet.
    frame_time_s
        Time from frame to frame [s], where the files do not state it.
    """
    frames = sorted(records.frames.values(), key=lambda record: (record.mtime_ns, record.movie, record.frame))
    sections = [
        Section("state", "State", [_state(records, frames, about, waiting)]),
        Section("speed", "Latency", [_speed(frames, frame_time_s)]),
        Section("last", "Last frame", _last(last)),
        Section("regions", "Regions to simulate", _regions(frames)),
        Section("defects", "Defects of the last frames", _defects(frames)),
        Section("unlike", "Unlike the training images", _unlike(frames)),
        Section("problems", "Not decoded", _problems(records)),
    ]
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    line = f"Watched by hpcstem {hpcstem.__version__}; as of {now}"
    return write_page(records.folder / "report.html", str(folder), line, sections, _REFRESH_S)


def _state(records: Records, frames: list[FrameRecord], about: str, waiting: int) -> Facts:
    atoms: Counter[str] = Counter()
    for record in frames:
        atoms.update(record.n_atoms)
    return Facts(
        [
            ("files decoded", count(sum(state.n_frames > 0 for state in records.files.values()))),
            ("files waiting", count(waiting)),
            ("frames decoded", count(len(frames))),
            ("atoms", ", ".join(f"{count(n)} {symbol}" for symbol, n in sorted(atoms.items())) or "none"),
            ("atoms left out under contamination", count(sum(one.survey.get("n_obscured", 0) for one in frames))),
            ("places for unknown species or defects", count(sum(len(_candidates(one)) for one in frames))),
            ("changes noticed by", about),
        ]
    )


def _speed(frames: list[FrameRecord], frame_time_s: float | None) -> Facts:
    facts = latency_facts(frames, frame_time_s)
    share = facts["share_in_time"]
    return Facts(
        [
            ("frame time", duration(facts["frame_time_s"])),
            ("from the last change of the file to the atoms, median", duration(facts["latency_median_s"])),
            ("the same, 95 % of frames within", duration(facts["latency_95_s"])),
            ("the same, longest", duration(facts["latency_max_s"])),
            ("frames within the frame time", "–" if share is None else f"{100 * share:.1f} %"),
            ("decoding alone, median", duration(facts["decode_median_s"])),
        ]
    )


def _last(last: Shown | None) -> list[Block]:
    if last is None:
        return [Words("None yet since the watch began.")]
    record, atoms = last.record, last.atoms
    square = None
    if record.region is not None:
        x_A, y_A = record.region.centre_A
        size_A = record.pixel_size_A
        square = (x_A / size_A, y_A / size_A, record.region.size_A / size_A)
    panel = FramePanel(
        last.image,
        record.pixel_size_A,
        f"{Path(record.path).name}, frame {record.frame}",
        atoms.x_px,
        atoms.y_px,
        atoms.species,
        square,
    )
    outlined = "; the square is the region to simulate" if square else ""
    return [Picture(contact_sheet([panel]), f"The frame decoded last, with its atoms{outlined}.")]


def _regions(frames: list[FrameRecord]) -> list[Block]:
    flagged = sorted(
        ((record, record.region) for record in frames if record.region is not None), key=lambda pair: -pair[1].score
    )
    rows = [
        (
            Path(record.path).name,
            region.reason,
            str(record.frame),
            quantity(region.centre_A[0], 1),
            quantity(region.centre_A[1], 1),
            count(region.n_atoms),
            quantity(region.score, 3),
        )
        for record, region in flagged
    ]
    few, note = shortened(rows, _MOST_ROWS, "regions; regions.json has all.")
    header = ("file", "reason", "frame", "x / Å", "y / Å", "atoms", "score")
    return [Table(header, few, f"Best first. {note}".strip(), text_columns=2)]


def _defects(frames: list[FrameRecord]) -> list[Block]:
    rows = [
        (
            Path(record.path).name,
            ", ".join(f"{n} × {kind}" for kind, n in record.defects.items()) or "none",
            str(record.frame),
            *(count(record.n_atoms.get(symbol, 0)) for symbol in ("C", "Si")),
        )
        for record in reversed(frames[-_MOST_ROWS:])
    ]
    return [Table(("file", "defects", "frame", "C", "Si"), rows, "Latest first.", text_columns=2)]


def _candidates(record: FrameRecord) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record.survey.get("candidates", [])
    return found


def _unlike(frames: list[FrameRecord]) -> list[Block]:
    compared = [(one, one.likeness) for one in frames if one.likeness is not None]
    told = [(one, likeness) for one, likeness in compared if likeness["score"] is not None]
    if not compared:
        return [Words("Not compared: `hpcstem reference` keeps beside an ensemble what its training images look like.")]
    rows = [
        (
            Path(record.path).name,
            ", ".join(f"{statistic} {deviation:+.0f} σ" for statistic, deviation in likeness["reasons"]),
            str(record.frame),
            quantity(likeness["score"], 1),
        )
        for record, likeness in reversed(told)
        if record.unlike
    ]
    few, note = shortened(rows, _MOST_ROWS, "frames.")
    about = f"{len(rows)} of {len(told)} frames, whose atoms cannot be relied on; latest first."
    if len(told) < len(compared):
        about += f" Of {len(compared) - len(told)} more the field is too small to tell."
    return [Table(("file", "farthest off", "frame", "score"), few, f"{about} {note}".strip(), text_columns=2)]


def _problems(records: Records) -> list[Block]:
    rows = [(path.name, state.not_decoded) for path, state in sorted(records.files.items()) if state.not_decoded]
    few, note = shortened(rows, _MOST_ROWS, "files.")
    return [Table(("file", "why"), few, note, text_columns=2)]
