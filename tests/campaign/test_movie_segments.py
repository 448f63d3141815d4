"""The plan: every frame once, chunks within the target, whatever the movies are."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hpcstem.campaign.reprocessing.segments import Segment, chunk_of, free_place, missing_ranges, plan_segments
from hpcstem.campaign.reprocessing.survey import GIVEN, Survey
from hpcstem.frames import FrameRange


def survey_of(name, n_frames, rows, columns):
    return Survey(
        movie=name,
        path=f"/{name}.h5",
        dataset=None,
        file_sha256="0" * 64,
        n_bytes=1,
        mtime_ns=1,
        file_mark="",
        n_frames=n_frames,
        rows=rows,
        columns=columns,
        dtype="<f4",
        format=".h5",
        source="",
        **(dict.fromkeys(GIVEN) | {"pixel_size_A": 0.1}),
    )


movies = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 64), st.integers(1, 64)), min_size=1, max_size=12)


@given(movies, st.integers(1, 500_000))
def test_every_frame_is_in_one_chunk_and_chunks_keep_to_the_target(shapes, target_bytes):
    segments = [
        Segment(survey_of(f"m{i:02d}", *shape), FrameRange(0, shape[0]), attempt=1 + i % 3)
        for i, shape in enumerate(shapes)
    ]
    groups = plan_segments(segments, target_bytes)
    pieces = [piece for group in groups for piece in group]
    frames = [(p.survey.movie, f) for p in pieces for f in range(p.frames.start, p.frames.stop)]
    assert frames == [(s.survey.movie, f) for s in segments for f in range(s.survey.n_frames)]
    for group in groups:
        one_frame = len(group) == 1 and len(group[0].frames) == 1
        assert one_frame or sum(piece.n_bytes for piece in group) <= target_bytes
        assert len({piece.survey.movie for piece in group if piece.attempt > 1}) <= 1
    for group, following in pairwise(groups):
        if group[0].attempt > 1 or following[0].attempt > 1:
            continue
        # No chunk is left small when the next piece would have fitted.
        assert sum(piece.n_bytes for piece in group) + following[0].n_bytes > target_bytes
    assert {p.attempt for p in pieces} == {s.attempt for s in segments}


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(1, 10)), max_size=8))
def test_missing_ranges_are_what_is_not_taken(n_frames, spans):
    taken = [(start, min(start + length, n_frames)) for start, length in spans if start < n_frames]
    missing = missing_ranges(n_frames, taken)
    found = [frame for frames in missing for frame in range(frames.start, frames.stop)]
    covered = {frame for start, stop in taken for frame in range(start, stop)}
    assert found == [frame for frame in range(n_frames) if frame not in covered]
    assert all(first.stop < second.start for first, second in pairwise(missing))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=20))
def test_ranges_take_their_place_where_no_other_is(spans):
    taken, covered = [], set()
    for start, length in spans:
        frames = set(range(start, start + length))
        place = free_place((start, start + length), taken)
        assert (place is None) == bool(frames & covered)
        if place is not None:
            taken.insert(place, (start, start + length))
            covered |= frames
        assert taken == sorted(taken)


def test_a_chunk_is_named_by_all_that_decides_its_content():
    survey = survey_of("a", 4, 8, 8)
    names = {
        chunk_of((Segment(one, frames),), Path("/d"), config).path
        for one in (survey, survey_of("b", 4, 8, 8))
        for frames in (FrameRange(0, 2), FrameRange(0, 4))
        for config in ("x", "y")
    }
    assert len(names) == 8
    again = chunk_of((Segment(survey, FrameRange(0, 2), attempt=3),), Path("/d"), "x")
    assert again.path in names
    assert again.path.parent == Path("/d") / again.name[:2]
