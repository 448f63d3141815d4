"""Members that stand apart from the others on a movie are named with the reason, and can be kept from voting."""

import json

import numpy as np
import pytest
from simulated import frames_and_truth

from hpcstem.errors import ModelError
from hpcstem.frames import FrameRange, MovieMetadata, open_movie, write_movie
from hpcstem.segmentation import decode_frame
from hpcstem.segmentation.chunks import ChunkOfMovie, DecodeChunks
from hpcstem.segmentation.ensemble import Ensemble, final_losses, find_ensemble
from hpcstem.segmentation.inference import ProbabilityMaps, predict
from hpcstem.segmentation.members import check_members

PIXEL_A = 0.16


@pytest.fixture(scope="module")
def frame():
    return frames_and_truth(1, (128, 144), PIXEL_A, 800, seed=21)[0][0]


@pytest.fixture(scope="module")
def maps(frame, ensemble):
    """Six members: the three networks, and each as it sees the frame upside down."""
    upright, turned = (predict(image, PIXEL_A, ensemble).atom for image in (frame, frame[::-1].copy()))
    return np.concatenate([upright, turned[:, ::-1]])


def checked(members, losses=None):
    names = [f"member-{i:02d}" for i in range(len(members))]
    mean = members.mean(axis=0)
    one = ProbabilityMaps(np.stack([1 - mean, mean]), np.ascontiguousarray(members), PIXEL_A)
    return check_members([one], names, 0.48, losses or [None] * len(members))


def test_members_alike_are_kept(maps):
    for member in checked(maps):
        assert member.reasons == ()
        assert member.n_atoms > 100


def test_a_blind_spot_is_found(maps):
    """A member that sees background in a fifth of the frame."""
    maps = maps.copy()
    maps[2, :, :28] = 0
    found = checked(maps)
    assert [bool(member.reasons) for member in found] == [False, False, True, False, False, False]
    assert f"finds {found[2].n_atoms} atoms" in found[2].reasons[0]


def test_atoms_that_are_not_there_are_found(maps):
    maps = maps.copy()
    row, column = np.mgrid[: maps.shape[1], : maps.shape[2]]
    discs = (row % 16 - 8) ** 2 + (column % 16 - 8) ** 2 <= 9
    maps[4, discs] = 1
    assert [bool(member.reasons) for member in checked(maps)] == [False, False, False, False, True, False]


def test_a_loss_that_did_not_fall_is_found(maps):
    found = checked(maps, [0.1, 0.11, 0.1, 0.09, 0.7, None])
    assert [bool(member.reasons) for member in found] == [False, False, False, False, True, False]
    assert "0.7" in found[4].reasons[0]


def test_two_have_no_majority(maps):
    broken = maps[:2].copy()
    broken[1] = 0
    assert all(member.reasons == () for member in checked(broken))


def test_final_losses_of_the_shipped_ensemble(ensemble):
    folder = find_ensemble("graphene-si")
    losses = final_losses(folder, ensemble.card)
    history = json.loads((folder / "member-00.json").read_text())["loss"]
    assert min(history) <= losses[0] < history[0]


def test_subset_votes_alone(frame, ensemble):
    names = ensemble.card.members
    one = ensemble.subset([names[1]])
    assert one.digest != ensemble.digest
    assert ensemble.subset(names) is ensemble
    found = decode_frame(frame, PIXEL_A, one, refine=False)
    assert set(found.detection) <= {0.0, 1.0}
    np.testing.assert_array_equal(predict(frame, PIXEL_A, one).atom[0], predict(frame, PIXEL_A, ensemble).atom[1])
    for wrong in ([], ["member-99.safetensors"]):
        with pytest.raises(ModelError, match="member-00"):
            ensemble.subset(wrong)


def test_chunk_of_another_subset_is_decoded_again(frame, tmp_path, ensemble):
    movie = tmp_path / "film.h5"
    write_movie(movie, frame[None], MovieMetadata(pixel_size_A=PIXEL_A))
    analysis = DecodeChunks(find_ensemble("graphene-si"), ensemble.digest, refine=False)
    path, names = tmp_path / "atoms.parquet", ensemble.card.members
    all_of_them = ChunkOfMovie(open_movie(movie), FrameRange(0, 1), path, "0" * 64)
    two = ChunkOfMovie(open_movie(movie), FrameRange(0, 1), path, "0" * 64, names[:2])
    analysis.process(two)
    assert analysis.written(two) is not None
    assert analysis.written(all_of_them) is None


def test_loaded_ensemble_of_a_subset_survives_pickling(ensemble):
    import pickle

    one = ensemble.subset(ensemble.card.members[:2])
    assert isinstance(pickle.loads(pickle.dumps(one)), Ensemble)
