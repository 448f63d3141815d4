"""CPU time to find the atoms of one frame of 512×512 pixels with one network, and their errors, against AtomAI.

    python tests/benchmarks/bench_decode.py [--peer PYTHON] [--peer-path FOLDER]

PYTHON is the interpreter of an environment with atomai 0.8, left out without it; FOLDER goes before its own modules,
for what stands in for torchvision where that cannot be had. One thread each, medians. The peer's network is its default
U-Net, untrained: only its time counts. Its search for atoms gets the probabilities of our network, so that both begin
with the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

import hpcstem.segmentation.ensemble as ensembles
from hpcstem.device import CPU, find_device
from hpcstem.execution.memory import keep_memory
from hpcstem.imaging import Acquisition, Probe, simulate_movie
from hpcstem.segmentation import Ensemble, decode_frame, inference
from hpcstem.segmentation.inference import predict, predict_prepared, prepared
from hpcstem.segmentation.score import score

PIXEL_A = 0.16
ROUNDS = 9

PEER = """
import contextlib, json, sys, time
with contextlib.redirect_stdout(sys.stderr):
    import atomai, numpy as np, torch
    from atomai.predictors.predictor import Locator
    torch.set_num_threads(1)
    data, rounds = np.load(sys.argv[1]), int(sys.argv[2])
    net = atomai.models.Segmentor("Unet", nb_classes=3).net.cpu().eval()
    image = torch.from_numpy(data["image"])[None, None]

    def median_s(work, rounds):
        times = []
        for _ in range(rounds + 1):
            begin = time.process_time()
            found = work()
            times.append(time.process_time() - begin)
        return float(np.median(times[1:])), found

    with torch.inference_mode():
        network_s, _ = median_s(lambda: net(image).softmax(1), rounds)
    maps, pixels = data["maps"][None], data["image"][None, ..., None]
    search_s, atoms = median_s(lambda: Locator(0.5).run(maps)[0], rounds)
    refine_s, refined = median_s(lambda: Locator(0.5, refine=True).run(maps, pixels)[0], 1)
n_parameters = sum(one.numel() for one in net.parameters())
print(json.dumps({"n_parameters": n_parameters, "network_s": network_s, "search_s": search_s, "refine_s": refine_s,
                  "search": atoms.tolist(), "refine": refined.tolist()}))
"""


def median_s(work):
    times = []
    for _ in range(ROUNDS + 1):
        begin = time.process_time()
        found = work()
        times.append(time.process_time() - begin)
    return float(np.median(times[1:])), found


def one_member():
    """The first member of the shipped ensemble, as an ensemble of its own."""
    ensemble = Ensemble.load("graphene-si")
    return ensemble.subset(ensemble.card.members[:1])


def errors(positions_A, truth, shape):
    """Share of the true atoms found, and root mean square error per axis [Å], away from the edge."""
    kinds = np.full(len(positions_A), "atom"), np.full(len(truth.species), "atom")
    field_A = shape[1] * PIXEL_A, shape[0] * PIXEL_A
    found = score(positions_A, kinds[0], truth.positions_A, kinds[1], field_A)["atom"]
    return {"precision": found.precision, "recall": found.recall, "error_A": found.rmse_A / np.sqrt(2)}


def say(**figures):
    print(json.dumps(figures), flush=True)


def ours(frame, truth, device):
    ensembles.find_device = inference.find_device = lambda: device
    ensemble = one_member()
    images = prepared(frame[None], PIXEL_A, ensemble)
    network_s, _ = median_s(lambda: list(predict_prepared(images, ensemble)))
    n_parameters = sum(one.numel() for one in ensemble.networks()[0].parameters())
    for name, refine in (("search", False), ("fit", True)):
        whole_s, found = median_s(lambda refine=refine: decode_frame(frame, PIXEL_A, ensemble, refine=refine))
        say(
            of=f"hpcstem, {device.inference}, {name}",
            n_parameters=n_parameters,
            network_s=network_s,
            whole_s=whole_s,
            **errors(found.positions_A, truth, frame.shape),
        )


def peers(frame, truth, given):
    ensemble = one_member()
    maps = np.roll(predict(frame, PIXEL_A, ensemble).mean, -1, axis=0).transpose(1, 2, 0)  # the background last
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.npz"
        np.savez(path, image=prepared(frame[None], PIXEL_A, ensemble)[0], maps=maps)
        done = subprocess.run(
            [given.peer, "-c", PEER, str(path), str(ROUNDS)],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": given.peer_path},
            cwd=folder,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    # Rows and columns.
    positions_A = {name: np.array(found.pop(name))[:, 1::-1] * PIXEL_A for name in ("search", "refine")}
    for name, its_A in positions_A.items():
        say(of=f"AtomAI, {name}", **found, **errors(its_A, truth, frame.shape))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--peer")
    options.add_argument("--peer-path", default="")
    given = options.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    frames, truth = simulate_movie("m", 1, (512, 512), PIXEL_A, Probe(), Acquisition(), np.random.SeedSequence(1))
    for device in (CPU, find_device()):
        ours(frames[0], truth, device)
    if given.peer:
        peers(frames[0], truth, given)
    else:
        say(of="AtomAI", left_out="no --peer")


if __name__ == "__main__":
    main()
