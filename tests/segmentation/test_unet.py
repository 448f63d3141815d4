"""The network's shape, and folding that changes nothing."""

import pytest
import torch
from torch import nn

from hpcstem.segmentation.architecture import LAYERS
from hpcstem.segmentation.unet import UNet


def convolutions(block):
    return [m for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


def with_statistics(network):
    """Batch normalisation as after training: means, variances, gains and offsets unlike those of the start."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.5)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network.eval()


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


def test_layers_per_block():
    network = UNet()
    blocks = [*network.encoder, network.bottom, *network.decoder]
    assert tuple(len(convolutions(block)) for block in blocks) == (2, 3, 3, 4, 3, 3, 2) == LAYERS
    assert len(convolutions(network)) == 20
    assert [convolutions(block)[-1].out_channels for block in blocks] == [16, 32, 64, 128, 64, 32, 16]


def test_parameters():
    assert sum(p.numel() for p in UNet().parameters()) == 839_347


@pytest.mark.parametrize("shape", [(8, 8), (64, 40), (24, 136)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_output_shape(shape, n_classes):
    with torch.inference_mode():
        out = UNet(n_classes, filters=4).eval()(torch.randn(2, 1, *shape))
    assert out.shape == (2, n_classes, *shape)


def test_fuse_changes_nothing():
    network, images = with_statistics(UNet(filters=8)), torch.randn(2, 1, 64, 72)
    with torch.inference_mode():
        before = network(images)
        fused = network.fuse()
        after = fused(images)
    assert fused is network
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert float(before.abs().max()) > 0.1
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_images_of_a_batch_do_not_affect_each_other():
    network, images = with_statistics(UNet(filters=4)), torch.randn(3, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), atol=1e-5, rtol=0)


def test_every_weight_learns():
    network = UNet(filters=2)
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()
    learns = {name for name, weight in network.named_parameters() if weight.grad is not None}
    idle = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert learns == {name for name, _ in network.named_parameters()} - idle
    # Only biases that a normalisation takes away again.
    assert all(name.endswith(".bias") and name.startswith(("encoder", "bottom", "decoder")) for name in idle)
    assert len(idle) == sum(LAYERS)


def test_seven_blocks_are_wanted():
    with pytest.raises(ValueError, match="wanted 7"):
        UNet(layers=(2, 3, 2))
