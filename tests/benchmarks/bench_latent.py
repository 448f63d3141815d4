"""CPU time of an epoch of the rotational autoencoder, and its bound and angles, against AtomAI in the same run.

`python bench_latent.py [--data FILE] [--peer PYTHON] [--peer-path FOLDER] [--epochs N]`. FILE is an `.npz` with images
`S` (n, 32, 32) from 0 to 1 and their angles `ang`; without it 5,000 are simulated. PYTHON is the interpreter of an
environment with atomai 0.8, left out without it; FOLDER goes before its own modules, for what stands in for
torchvision where that cannot be had. One thread each, epochs of both in turn; times are medians of epochs.
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

sys.path.insert(0, str(Path(__file__).parents[1] / "latent"))

PEER = """
import contextlib, json, sys, time
with contextlib.redirect_stdout(sys.stderr):
    import atomai, numpy as np, torch
    torch.set_num_threads(1)
    data = np.load(sys.argv[1])
    model = atomai.models.rVAE((32, 32), latent_dim=2, seed=0)
    begin, times = time.process_time(), []
    for epoch in range(int(sys.argv[2])):
        begin = time.process_time()
        model.fit(data["S"], training_cycles=1, batch_size=100, loss="mse")
        times.append(time.process_time() - begin)
    found = model.encode(data["S"])[0][:, 0]
turned = [abs(np.exp(3j * (found - sign * data["ang"])).mean()) for sign in (1, -1)]
loss = [-float(value) for value in model.loss_history["train_loss"]]
print(json.dumps({"seconds": times, "loss": loss, "resultant": max(turned)}))
"""


def simulated(path):
    from three_fold_sites import sites

    images, angle = sites(5000, np.random.default_rng(0), n_pixels=32)
    images -= images.min()
    np.savez(path, S=images / images.max(), ang=angle)
    return path


def ours(path, epochs, learning_rate, **settings):
    import torch

    from hpcstem.latent.measures import mutual_information, resultant
    from hpcstem.latent.models import encode_all
    from hpcstem.latent.rotational import RotationalVAE
    from hpcstem.latent.settings import RotationalConfig, TrainingConfig
    from hpcstem.latent.sub_images import ImagesInMemory
    from hpcstem.latent.training import train

    torch.set_num_threads(1)
    with np.load(path) as data:
        images, angle = ImagesInMemory(data["S"]), data["ang"]
    torch.manual_seed(0)
    # Unit noise in the images' own units, and all but a few images learned from, as the peer has it.
    model = RotationalVAE(32, RotationalConfig(noise=1.0 / float(images.images.std()), **settings))
    times, begin = [], time.process_time()

    def on_epoch(*_):
        nonlocal begin
        times.append(time.process_time() - begin)
        begin = time.process_time()

    curve = train(
        model,
        images,
        TrainingConfig(epochs=epochs, learning_rate=learning_rate, held_out=0.002, patience=epochs),
        0,
        on_epoch=on_epoch,
    )
    posterior = encode_all(model, images)
    turned = max(resultant(posterior.angle_rad, sign * angle, 3) for sign in (1, -1))
    seeds = np.random.SeedSequence(0).spawn(2)
    shared = [
        mutual_information(content, angle, 3, seed) for content, seed in zip(posterior.content.T, seeds, strict=True)
    ]
    return {
        "median_s": float(np.median(times)),
        "loss": curve.training,
        "loss_at_the_mean": float(posterior.negative_elbo.mean()),
        "resultant": turned,
        "content_on_angle_nats": [one.nats for one in shared],
        "of_shuffled_nats": [one.shuffled_deviation for one in shared],
    }


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path)
    options.add_argument("--peer")
    options.add_argument("--peer-path", default="")
    options.add_argument("--epochs", type=int, default=3)
    given = options.parse_args()
    path = given.data or simulated(Path(tempfile.mkdtemp()) / "sub-images-32.npz")
    peer_s = None
    if given.peer:
        environment = os.environ | {"PYTHONPATH": given.peer_path}
        # The peer leaves its model where it runs.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [given.peer, "-c", PEER, str(path.absolute()), str(given.epochs)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=folder,
                check=False,
            )
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        peer_s = float(np.median(found.pop("seconds")))
        print(json.dumps({"of": "AtomAI", "median_s": peer_s, **found}), flush=True)
    else:
        print(json.dumps({"of": "AtomAI", "left_out": "no --peer"}), flush=True)
    for name, learning_rate, settings in (
        ("as the peer: one start, all pixels", 1e-4, {"n_turns": 1, "pixel_stride": 1}),
        ("24 starts, a quarter of the pixels", 1e-4, {}),
        ("the same, ten times the rate", 1e-3, {}),
    ):
        found = ours(path, given.epochs, learning_rate, **settings)
        ratio = None if peer_s is None else peer_s / found["median_s"]
        print(json.dumps({"of": name, **found, "times_as_fast": ratio}), flush=True)


if __name__ == "__main__":
    main()
