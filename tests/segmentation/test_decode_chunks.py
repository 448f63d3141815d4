"""Chunks: one file each, recognised when it is whole and from the same origin, and bad frames named."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from simulated import frames_and_truth

from hpcstem.atoms import AtomTable
from hpcstem.errors import ModelError, MovieError
from hpcstem.files import sha256
from hpcstem.frames import FaultKind, FrameFault, FrameRange, MovieMetadata, open_movie, write_movie
from hpcstem.segmentation.chunks import ChunkOfMovie, DecodeChunks, DecodeSummary
from hpcstem.segmentation.ensemble import find_ensemble

PIXEL_A = 0.16


@pytest.fixture(scope="module")
def frames():
    return frames_and_truth(4, (96, 112), PIXEL_A, 1000, seed=8)[0]


@pytest.fixture(scope="module")
def analysis(ensemble):
    return DecodeChunks(find_ensemble("graphene-si"), ensemble.digest)


def chunk_of(frames, folder, start=0, stop=None):
    path = folder / "film.h5"
    write_movie(path, frames, MovieMetadata(pixel_size_A=PIXEL_A))
    return ChunkOfMovie(
        open_movie(path), FrameRange(start, stop or len(frames)), folder / "atoms" / "film-0.parquet", sha256(path)
    )


@pytest.fixture
def chunk(frames, tmp_path):
    return chunk_of(frames, tmp_path)


@pytest.fixture
def broken(frames, tmp_path):
    """Frame 1 holds a NaN and frame 2 nothing."""
    frames = frames.copy()
    frames[1, 5, 6] = np.nan
    frames[2] = 0
    return chunk_of(frames, tmp_path)


def test_process_writes_what_written_reads(chunk, analysis):
    assert analysis.written(chunk) is None
    summary = analysis.process(chunk)
    table = AtomTable.read(chunk.path)
    assert summary.n_frames == 4
    assert sum(summary.n_atoms.values()) == len(table) > 200
    assert summary.n_atoms["C"] == (table.species == "C").sum()
    assert set(table.frame) == {0, 1, 2, 3}
    assert set(table.movie) == {"film"}
    assert summary.faults == ()
    assert analysis.written(chunk) == summary


def test_again_gives_the_same_file(chunk, analysis):
    analysis.process(chunk)
    before = chunk.path.read_bytes()
    analysis.process(chunk)
    assert chunk.path.read_bytes() == before


def test_a_part_of_the_movie_is_the_part_of_the_whole(frames, tmp_path, analysis):
    whole, part = chunk_of(frames, tmp_path / "whole"), chunk_of(frames, tmp_path / "part", 2, 3)
    analysis.process(whole)
    analysis.process(part)
    one, other = AtomTable.read(whole.path).in_frame(2), AtomTable.read(part.path)
    np.testing.assert_array_equal(one.positions_A, other.positions_A)
    np.testing.assert_array_equal(one.frame, other.frame)


def test_another_origin_is_decoded_again(chunk, analysis):
    analysis.process(chunk)
    others = {
        "frames": replace(chunk, frames=FrameRange(0, 3)),
        "file": replace(chunk, file_sha256="0" * 64),
        "pixel size": replace(chunk, movie=chunk.movie.with_metadata(pixel_size_A=0.17)),
        "movie": replace(chunk, movie=replace(chunk.movie, name="other")),
    }
    for what, other in others.items():
        assert analysis.written(other) is None, what
    assert replace(analysis, digest="0" * 64).written(chunk) is None
    assert replace(analysis, refine=False).written(chunk) is None
    assert analysis.written(chunk) is not None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_file_is_decoded_again(chunk, analysis, share):
    summary = analysis.process(chunk)
    os.truncate(chunk.path, int(chunk.path.stat().st_size * share))
    assert analysis.written(chunk) is None
    assert analysis.process(chunk) == summary == analysis.written(chunk)


def test_a_file_of_something_else_is_decoded_again(chunk, analysis):
    chunk.path.parent.mkdir()
    chunk.path.write_bytes(b"PAR1 but not quite PAR1")
    assert analysis.written(chunk) is None
    AtomTable.empty({"movie": "film"}).write(chunk.path)
    assert analysis.written(chunk) is None


def test_bad_frames_are_recorded_and_read_back(broken, analysis):
    summary = analysis.process(broken)
    assert summary.n_frames == 2
    assert summary.faults == (
        ("film", FrameFault(1, FaultKind.NON_FINITE)),
        ("film", FrameFault(2, FaultKind.EMPTY)),
    )
    table = AtomTable.read(broken.path)
    assert set(table.frame) == {0, 3}
    assert table.metadata["faults"] == [[1, "non-finite"], [2, "empty"]]
    assert analysis.written(broken) == summary


def test_bad_frames_refused_by_name(broken, analysis):
    with pytest.raises(MovieError, match=r"frame 1 of movie film.*non-finite.*bad_frames: skip"):
        replace(analysis, skip_bad_frames=False).process(broken)
    assert not broken.path.exists()


def test_only_bad_frames(frames, tmp_path, analysis):
    chunk = chunk_of(np.zeros_like(frames[:2]), tmp_path)
    summary = analysis.process(chunk)
    assert (summary.n_frames, len(summary.faults), sum(summary.n_atoms.values())) == (0, 2, 0)
    assert analysis.written(chunk) == summary


def test_without_a_pixel_size(chunk, analysis):
    unknown = replace(chunk, movie=chunk.movie.with_metadata(pixel_size_A=None))
    with pytest.raises(MovieError, match="pixel size"):
        analysis.process(unknown)


def test_changed_ensemble_is_refused(chunk, small_folder):
    with pytest.raises(ModelError, match="changed"):
        DecodeChunks(small_folder, "0" * 64).process(chunk)
    assert not chunk.path.exists()


def test_analysis_and_chunk_cross_process_boundaries(chunk, analysis):
    there, its_chunk = pickle.loads(pickle.dumps((analysis, chunk)))
    assert there.process(its_chunk) == analysis.written(chunk)


def test_empty_summary_is_neutral(broken, analysis):
    summary = analysis.process(broken)
    assert analysis.merge(DecodeSummary(), summary) == analysis.merge(summary, DecodeSummary()) == summary


def test_summaries_of_halves_are_the_summary_of_the_whole(frames, tmp_path, analysis):
    halves = [chunk_of(frames, tmp_path / str(i), 2 * i, 2 * i + 2) for i in range(2)]
    left, right = (analysis.process(half) for half in halves)
    whole = analysis.process(chunk_of(frames, tmp_path / "whole"))
    assert analysis.finish(analysis.merge(left, right)) == whole
