"""Watching a folder: look, wait until files are whole, decode what is new, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpcstem.campaign.conduct import refuse_ranks
from hpcstem.campaign.reprocessing.dataset import DatasetSettings, check_owner, describe
from hpcstem.campaign.reprocessing.manifest import movie_key
from hpcstem.campaign.reprocessing.survey import file_size_and_time
from hpcstem.campaign.run import Run
from hpcstem.campaign.schema import MovieSection
from hpcstem.campaign.stopping import stopping
from hpcstem.campaign.watching.decoding import FrameDecoder
from hpcstem.campaign.watching.folder import Changes, movie_files, noticing_changes
from hpcstem.campaign.watching.page import latency_facts, write_report
from hpcstem.campaign.watching.records import FileState, FrameRecord, Records
from hpcstem.campaign.watching.settling import Settling
from hpcstem.config import checked
from hpcstem.errors import HpcstemError
from hpcstem.execution.memory import keep_memory
from hpcstem.files import write_json

_SETTINGS_FILE = "watch.json"
_BETWEEN_REPORTS_S = 2.0
_LONGEST_WITHOUT_REPORT_S = 30.0


@dataclass(frozen=True)
class WatchSettings:
    """How a folder is watched.

    Parameters
    ----------
    model, refine
        As in `hpcstem.campaign.reprocessing.DatasetSettings`.
    pixel_size_A
        Pixel size of all files [Å], in place of what they say.
    frame_time_s
        Time from frame to frame [s], where the files do not say.
    settle_s
        How long a file must not change before it counts as closed [s].
    region_size_A
        Side of the regions to simulate [Å].
    """

    model: str | Path = "graphene-si"
    refine: bool = True
    pixel_size_A: float | None = None
    frame_time_s: float | None = None
    settle_s: float = 1.0
    region_size_A: float = 12.0


@dataclass(frozen=True)
class WatchSummary:
    """What a watch has found, in all its runs.

    Parameters
    ----------
    n_files
        Files with decoded frames.
    n_frames
        Frames decoded.
    n_frames_now
        Those of this run.
    n_regions
        Frames with a region to simulate.
    n_unlike
        Frames that are not of the kind that the ensemble was trained on.
    latency
        As `hpcstem.campaign.watching.page.latency_facts` gives it, of this run.
    problems
        Path and reason of each file that could not be decoded.
    """

    n_files: int
    n_frames: int
    n_frames_now: int
    n_regions: int
    n_unlike: int
    latency: dict[str, float | None]
    problems: dict[str, str]


def watch(
    folder: Path,
    out: Path,
    settings: WatchSettings,
    on_frame: Callable[[FrameRecord], None] = lambda record: None,
    on_start: Callable[[str], None] = lambda about: None,
    on_problem: Callable[[Path, str], None] = lambda path, reason: None,
) -> WatchSummary:
    """Decode each frame of the movies in a folder as their files close, until SIGINT or SIGTERM.

    Parameters
    ----------
    folder
        What the microscope writes to; folders in it are watched too.
    out
        For the atoms, `files.json`, `regions.json` and `report.html`. Started again with the same one, a watch goes on.
    settings
        How.
    on_frame
        Called after each frame.
    on_start
        Called with how changes are noticed, once they are.
    on_problem
        Called with a file of which something cannot be decoded, and why, whenever that is news.

    Raises
    ------
    HpcstemError
        No such folder; `out` holds something else, cannot be written, or another process works in it.
    ModelError
        No such ensemble, or what is kept beside it is of another one.
    """
    from hpcstem.segmentation.ensemble import Ensemble, find_ensemble
    from hpcstem.segmentation.reference import load_reference

    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise HpcstemError(f"folder to watch {folder}", "no such folder", "the folder that the microscope writes to")
    refuse_ranks()
    keep_memory()
    described = describe(DatasetSettings(settings.model, settings.refine))
    run = Run(out)
    check_owner(run, described, _SETTINGS_FILE)
    with run.locked(), stopping() as stop, noticing_changes(folder) as changes:
        check_owner(run, described, _SETTINGS_FILE)
        write_json(run.path(_SETTINGS_FILE), described)
        for left in run.folder.glob("atoms/*/.*.tmp"):
            left.unlink()
        records = Records(run.folder, described["config_sha256"], described["model_sha256"])
        ensemble = Ensemble.load(settings.model)
        reference = load_reference(find_ensemble(settings.model), ensemble)
        earlier = dict(records.frames)
        started_s = time.time()
        decoder = FrameDecoder(
            records, ensemble, reference, settings.refine, settings.region_size_A, started_s, on_frame
        )
        on_start(changes.about)
        _Watch(folder, records, decoder, settings, changes, stop, on_problem).until_stopped()
        now = [record for key, record in records.frames.items() if earlier.get(key) is not record]
        return WatchSummary(
            n_files=sum(state.n_frames > 0 for state in records.files.values()),
            n_frames=len(records.frames),
            n_frames_now=len(now),
            n_regions=sum(record.region is not None for record in records.frames.values()),
            n_unlike=sum(record.unlike for record in records.frames.values()),
            latency=latency_facts(now, settings.frame_time_s),
            problems={str(path): state.problem for path, state in records.files.items() if state.problem},
        )


class _Watch:
    """One run of a watch."""

    def __init__(
        self,
        folder: Path,
        records: Records,
        decoder: FrameDecoder,
        settings: WatchSettings,
        changes: Changes,
        stop: Callable[[], bool],
        on_problem: Callable[[Path, str], None],
    ) -> None:
        self._on_problem = on_problem
        self._folder, self._records, self._decoder = folder, records, decoder
        self._settings, self._changes, self._stop = settings, changes, stop
        self._settling = Settling(settings.settle_s)
        for path, state in records.files.items():
            if not state.problem:
                self._settling.handled(path, state.mark)
        self._reported_s = float("-inf")

    def until_stopped(self) -> None:
        """Look, decode, report, wait; again until told to stop."""
        unreported = True
        while not self._stop():
            now_s = time.monotonic()
            self._settling.look(self._marks(), now_s)
            ready = self._settling.ready(now_s)
            for n_left, path in zip(range(len(ready), 0, -1), ready, strict=True):
                if self._stop():
                    break
                self._handle(path)
                unreported = True
                if self._since_report_s() > _LONGEST_WITHOUT_REPORT_S:
                    self._report(n_left - 1)
            if unreported and self._since_report_s() > _BETWEEN_REPORTS_S:
                self._report(0)
                unreported = False
            if not ready:
                due_s = self._settling.next_due_s(time.monotonic())
                report_s = _BETWEEN_REPORTS_S - self._since_report_s() if unreported else due_s
                self._changes.wait(max(0.0, min(due_s, report_s)), self._stop)
        self._report(0)

    def _handle(self, path: Path) -> None:
        """Decode what is new in a file that seems whole."""
        mark, files = self._settling.mark(path), self._records.files
        try:
            size_and_time, identity = file_size_and_time(path), _identity(path)
        except OSError:  # gone meanwhile
            return
        if self._mark(size_and_time) != mark:
            return
        section = checked(MovieSection, {"path": path, **self._given()}, str(path))
        known = files.get(path) or self._records.take_renamed(identity, mark)
        movie = movie_key(section) if known is None else known.movie
        state = FileState(mark, identity, movie)
        if known is not None and (known.identity, known.mark, known.problem) == (identity, mark, ""):
            state = known  # only its name is new
        else:
            try:
                found = self._decoder.decode_new(section, movie, size_and_time, self._stop)
            except HpcstemError as error:
                state.problem = str(error)
            else:
                if found is None:
                    return
                state.n_frames, state.faults = found
        files[path] = state
        if state.not_decoded and (known is None or known.not_decoded != state.not_decoded):
            self._on_problem(path, state.not_decoded)
        if state.problem:
            self._settling.try_again(path, time.monotonic())
        else:
            self._settling.handled(path, mark)
        self._records.write_files()

    def _marks(self) -> Iterator[tuple[Path, str]]:
        for path in movie_files(self._folder, self._records.folder):
            with suppress(OSError):  # gone meanwhile
                # A pipe or a device would be waited for without end.
                if path.is_file() or path.is_dir():
                    yield path, self._mark(file_size_and_time(path))

    def _mark(self, size_and_time: tuple[int, int]) -> str:
        """What a file has to be decoded anew for: another size, time of change, or given pixel size."""
        return " ".join(map(str, (*size_and_time, self._settings.pixel_size_A or "")))

    def _given(self) -> dict[str, float | None]:
        return {"pixel_size_A": self._settings.pixel_size_A, "frame_time_s": self._settings.frame_time_s}

    def _since_report_s(self) -> float:
        return time.monotonic() - self._reported_s

    def _report(self, n_waiting: int) -> None:
        self._records.write_regions()
        about, frame_time_s = self._changes.about, self._settings.frame_time_s
        write_report(self._records, self._folder, about, self._decoder.last, n_waiting, frame_time_s)
        self._reported_s = time.monotonic()


def _identity(path: Path) -> str:
    state = path.stat()
    return f"{state.st_dev} {state.st_ino}"
