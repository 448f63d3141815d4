"""Ensembles on disk: whole, or refused with a reason."""

import json
import os
import pickle
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hpcstem.device import CPU
from hpcstem.errors import ModelError
from hpcstem.segmentation import Ensemble
from hpcstem.segmentation import ensemble as ensemble_files
from hpcstem.segmentation.ensemble import EnsembleCard, find_ensemble, save_card, save_member
from hpcstem.segmentation.inference import predict
from hpcstem.segmentation.unet import UNet


def change_card(folder, **values):
    card = json.loads((folder / "ensemble.json").read_text())
    (folder / "ensemble.json").write_text(json.dumps({**card, **values}))


def test_round_trip(small_folder):
    ensemble = Ensemble.load(small_folder)
    assert ensemble.name == "small"
    assert len(ensemble.weights) == len(ensemble.networks()) == 2
    written = load_file(small_folder / "member-01.safetensors")
    assert written.keys() == UNet(3, 2, (1, 1, 2, 1, 1, 1, 1)).state_dict().keys()
    for key, value in ensemble.weights[1].items():
        torch.testing.assert_close(value, written[key])
    assert Ensemble.load(str(small_folder)).digest == ensemble.digest
    save_card(small_folder, ensemble.card)
    assert Ensemble.load(small_folder).digest == ensemble.digest


def test_half_precision_changes_little(small_folder, monkeypatch):
    monkeypatch.setattr(ensemble_files, "find_device", lambda: CPU)  # float32, whatever the processor can
    network = UNet(3, 2, (1, 1, 2, 1, 1, 1, 1)).eval()
    save_member(small_folder / "member-00.safetensors", network.state_dict())
    read = Ensemble.load(small_folder).networks()[0]
    images = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(read(images), network(images), atol=5e-3, rtol=0)


@pytest.mark.parametrize("name", ["ensemble.json", "member-00.safetensors", "member-01.safetensors"])
def test_digest_changes_with_any_file(small_folder, name):
    before = Ensemble.load(small_folder).digest
    if name.endswith("json"):
        change_card(small_folder, sigma_scale=1.5)
    else:
        weights = load_file(small_folder / name)
        weights["head.bias"] = weights["head.bias"] + 1
        save_file(weights, small_folder / name)
    assert Ensemble.load(small_folder).digest != before


def test_members_in_another_order_are_another_ensemble(small_folder):
    before = Ensemble.load(small_folder).digest
    change_card(small_folder, members=["member-01.safetensors", "member-00.safetensors"])
    assert Ensemble.load(small_folder).digest != before


def truncate(folder):
    path = folder / "member-01.safetensors"
    os.truncate(path, path.stat().st_size // 2)


def move_out(folder, name):
    """Weights that are whole, but beside the ensemble's folder."""
    (folder / "member-00.safetensors").rename(folder.parent / "outside.safetensors")
    change_card(folder, members=[name])


DAMAGES = {
    "weights truncated": truncate,
    "weights empty": lambda f: (f / "member-00.safetensors").write_bytes(b""),
    "weights are something else": lambda f: (f / "member-00.safetensors").write_bytes(b"\x80\x04N." * 100),
    "weights missing": lambda f: (f / "member-01.safetensors").unlink(),
    "card is not JSON": lambda f: (f / "ensemble.json").write_text("{"),
    "card is not text": lambda f: (f / "ensemble.json").write_bytes(b"\xff\xfe\x00"),
    "unknown key": lambda f: change_card(f, colour="red"),
    "no members": lambda f: change_card(f, members=[]),
    "negative pixel size": lambda f: change_card(f, pixel_size_A=-0.1),
    "too few blocks": lambda f: change_card(f, layers=[2, 3, 3]),
    "block without layers": lambda f: change_card(f, layers=[2, 3, 3, 0, 3, 3, 2]),
    "member outside": lambda f: move_out(f, "../outside.safetensors"),
    "member at an absolute path": lambda f: move_out(f, str(f.parent / "outside.safetensors")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_is_refused(small_folder, damage):
    DAMAGES[damage](small_folder)
    with pytest.raises(ModelError, match="small"):
        Ensemble.load(small_folder)


@pytest.mark.parametrize("values", [{"filters": 4}, {"layers": [1] * 7}, {"classes": ["background", "C"]}])
def test_weights_of_another_architecture_are_refused(small_folder, values):
    change_card(small_folder, **values)
    with pytest.raises(ModelError, match="member-00"):
        Ensemble.load(small_folder).networks()


def test_missing_folder(tmp_path):
    with pytest.raises(ModelError, match="graphene-si"):
        Ensemble.load(tmp_path / "nowhere")


def test_a_path_that_leads_nowhere_does_not_find_the_shipped_ensemble(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_ensemble("graphene-si").is_dir()
    for folder in (tmp_path / "graphene-si", "runs/graphene-si", "../graphene-si", "."):
        with pytest.raises(ModelError, match="no ensemble"):
            find_ensemble(folder)


def test_pickle(small_folder, rng):
    ensemble = Ensemble.load(small_folder)
    frame = rng.poisson(5.0, (40, 48))
    before = predict(frame, 0.16, ensemble)
    copy = pickle.loads(pickle.dumps(ensemble))
    assert copy.digest == ensemble.digest
    assert copy._networks == []
    np.testing.assert_array_equal(predict(frame, 0.16, copy).atom, before.atom)
    # The networks themselves would double it; which of its strings are one object differs by some bytes.
    assert len(pickle.dumps(ensemble)) < 1.1 * len(pickle.dumps(Ensemble.load(small_folder)))


def test_threads_see_all_members_or_wait(small_folder):
    for _ in range(5):
        ensemble = Ensemble.load(small_folder)
        seen, start = [], threading.Barrier(4)

        def look(ensemble=ensemble, seen=seen, start=start):
            start.wait()
            seen.append(len(ensemble.networks()))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [2] * 4
        assert len(ensemble.networks()) == 2


def test_shipped(ensemble):
    assert ensemble.card.classes == ("background", "C", "Si")
    assert ensemble.card.layers == (2, 3, 3, 4, 3, 3, 2)
    assert len(ensemble.networks()) == len(ensemble.card.members)
    assert len(ensemble.digest) == 64
    assert {"C", "Si"} <= ensemble.card.metrics.keys()
    assert EnsembleCard.model_validate(ensemble.card.model_dump()) == ensemble.card
