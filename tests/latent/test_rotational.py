"""The rotational autoencoder: angles of known sites, content free of them, and the geometry of its decoder."""

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate
from three_fold_sites import sites

from hpcstem.latent.decoder import CoordinateDecoder, pixel_grid
from hpcstem.latent.measures import misorientation_rad, mutual_information, ranking, resultant
from hpcstem.latent.polar import PolarGrid
from hpcstem.latent.rotational import RotationalVAE
from hpcstem.latent.settings import RotationalConfig, TrainingConfig
from hpcstem.latent.sub_images import ImagesInMemory
from hpcstem.latent.training import train

N = 1600
TRAINING = TrainingConfig(epochs=6, learning_rate=2e-3)


def trained(images: np.ndarray, settings: RotationalConfig, training: TrainingConfig = TRAINING) -> RotationalVAE:
    torch.manual_seed(1)
    model = RotationalVAE(images.shape[1], settings)
    train(model, ImagesInMemory(images), training, seed=1)
    return model


@pytest.fixture(scope="module")
def two_kinds():
    """Sites with a bright or a plain atom in the middle, and what a model says of them."""
    rng = np.random.default_rng(0)
    bright = rng.random(N) < 0.5
    images, angle = sites(N, rng, bright=np.where(bright, 1.8, 1.0))
    model = trained(images, RotationalConfig(n_content=1))
    return images, angle, bright, model, model.encode(torch.from_numpy(images))


def test_angle_is_found_from_any_start(two_kinds) -> None:
    _, angle, _, _, found = two_kinds
    assert resultant(found.angle_rad, angle, 3) > 0.95
    assert np.degrees(np.abs(misorientation_rad(found.angle_rad, angle, 3)).mean()) < 5.0


def test_content_is_the_kind_and_not_the_angle(two_kinds) -> None:
    _, angle, bright, _, found = two_kinds
    order = ranking(found.content[:, 0], bright)
    assert max(order, 1.0 - order) > 0.98
    information = mutual_information(found.content[:, 0], angle, 3, np.random.SeedSequence(2))
    assert information.nats < 0.1


def test_decoder_draws_the_image_it_was_given(two_kinds) -> None:
    images, _, _, model, found = two_kinds
    content, label, angle = (torch.from_numpy(values[:50]) for values in (found.content, found.label, found.angle_rad))
    drawn = model.decode(content, label, angle).numpy()
    # The rest is the noise of the counts.
    assert np.corrcoef(drawn.ravel(), images[:50].ravel())[0, 1] > 0.8


def test_turned_image_has_a_turned_angle_and_the_same_content(two_kinds) -> None:
    images, _, _, model, found = two_kinds
    quarter = model.encode(torch.from_numpy(np.rot90(images[:200], axes=(1, 2)).copy()))
    assert resultant(quarter.angle_rad, found.angle_rad[:200] + np.pi / 2, 3) > 0.99
    assert np.corrcoef(quarter.content[:, 0], found.content[:200, 0])[0, 1] > 0.95


def test_shift_is_where_the_content_was_moved(two_kinds) -> None:
    _, _, _, model, _ = two_kinds
    still, _ = sites(60, np.random.default_rng(5), shift_px=0.0, electrons=1e4)
    moved = np.roll(still, (1, -1), axis=(1, 2))
    before, after = (model.encode(torch.from_numpy(images)).shift.mean(axis=0) for images in (still, moved))
    # One pixel to the left and down; the prior holds it back.
    step = 2.0 / (still.shape[1] - 1)
    assert (after - before)[0] < -0.1 * step
    assert (after - before)[1] > 0.1 * step


def test_joint_model_sorts_kinds_into_classes(two_kinds) -> None:
    images, angle, bright, _, _ = two_kinds
    model = trained(images, RotationalConfig(n_content=1, n_classes=2))
    found = model.encode(torch.from_numpy(images))
    agreeing = (found.label == bright).mean()
    assert max(agreeing, 1.0 - agreeing) > 0.9
    assert resultant(found.angle_rad, angle, 3) > 0.9


def test_convolutional_encoder_finds_the_angle_too(two_kinds) -> None:
    images, angle = two_kinds[:2]
    model = trained(images, RotationalConfig(n_content=1, encoder="convolution"))
    assert resultant(model.encode(torch.from_numpy(images)).angle_rad, angle, 3) > 0.9


def test_rings_turn_images_as_shown() -> None:
    rng = np.random.default_rng(3)
    image = np.zeros((33, 33), np.float32)
    image[rng.integers(8, 25, 6), rng.integers(8, 25, 6)] = 1.0
    image = rotate(image, 7.0, reshape=False, order=1)
    rings = PolarGrid(33, 24)
    samples = rings.sample(torch.from_numpy(np.stack([image, rotate(image, 45.0, reshape=False, order=1)])))
    turned = rings.turned_back(samples, torch.tensor([0, 3])).numpy()
    assert np.corrcoef(turned[0].ravel(), turned[1].ravel())[0, 1] > 0.97
    forth = rings.all_turned(samples[:1])[0, 3].numpy()
    assert np.corrcoef(forth, samples[1].flatten().numpy())[0, 1] > 0.97


def test_decoder_turns_and_shifts_and_its_gradient_is_that_of_tanh() -> None:
    torch.manual_seed(0)
    decoder = CoordinateDecoder(2, 16).double()
    grid = pixel_grid(9).reshape(-1, 3).double()
    angle, shift, content = (
        torch.tensor([0.4]).double(),
        torch.tensor([[0.1, -0.2]]).double(),
        torch.randn(1, 2).double(),
    )

    def plain() -> torch.Tensor:
        cosine, sine = torch.cos(angle[0]), torch.sin(angle[0])
        back = torch.stack([torch.stack([cosine, sine]), torch.stack([-sine, cosine])])
        points = grid[:, :2] @ back.T - shift
        hidden = torch.tanh(decoder.coordinates(points) + decoder.content(content))
        return decoder.value(torch.tanh(decoder.hidden(hidden)))[:, 0]

    fused = decoder(grid, angle, shift, content)[0]
    assert torch.allclose(fused, plain(), atol=1e-12)
    gradients = [torch.autograd.grad(values.square().sum(), decoder.parameters()) for values in (fused, plain())]
    assert all(torch.allclose(one, other, atol=1e-10) for one, other in zip(*gradients, strict=True))
