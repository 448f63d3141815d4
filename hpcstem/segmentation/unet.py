"""The U-Net that turns an image into class probabilities per pixel.

References
----------
.. [1] O. Ronneberger, P. Fischer, T. Brox, MICCAI (2015). doi:10.1007/978-3-319-24574-4_28
.. [2] M. Ziatdinov et al., ACS Nano 11 (2017) 12742. doi:10.1021/acsnano.7b07504
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hpcstem.segmentation.architecture import LAYERS


class ConvolutionBlock(nn.Sequential):
    """Some 3x3 convolutions, each with batch normalisation and a leaky rectifier."""

    def __init__(self, n_in: int, n_out: int, n_layers: int) -> None:
        layers: list[nn.Module] = []
        for i in range(n_layers):
            convolution = nn.Conv2d(n_in if i == 0 else n_out, n_out, 3, padding=1)
            # The normalisation takes it away again: its gradient is rounding error, which Adam would follow.
            cast(nn.Parameter, convolution.bias).requires_grad_(False)
            layers += [convolution, nn.BatchNorm2d(n_out), nn.LeakyReLU(0.01, inplace=True)]
        super().__init__(*layers)

    def fused(self) -> nn.Sequential:
        """Return the block with each normalisation folded into its convolution, for inference."""
        modules = list(self)
        layers: list[nn.Module] = []
        for convolution, norm, activation in zip(modules[::3], modules[1::3], modules[2::3], strict=True):
            layers += [fuse_conv_bn_eval(cast(nn.Conv2d, convolution), cast(nn.BatchNorm2d, norm)), activation]
        return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net with three poolings and bilinear up-sampling.

    Parameters
    ----------
    n_classes
        Channels of the output.
    filters
        Channels of the first block; doubled at each pooling.
    layers
        Convolution layers in each of the seven blocks.
    """

    reduction = 8
    """Rows and columns of the input must be multiples of this."""

    def __init__(self, n_classes: int = 3, filters: int = 16, layers: tuple[int, ...] = LAYERS) -> None:
        super().__init__()
        if len(layers) != 7:
            raise ValueError(f"layers: got {len(layers)} blocks; wanted 7")
        widths = [filters, 2 * filters, 4 * filters, 8 * filters]
        self.encoder = nn.ModuleList(
            ConvolutionBlock(n_in, n_out, n)
            for n_in, n_out, n in zip([1, *widths[:2]], widths[:3], layers[:3], strict=True)
        )
        self.bottom = ConvolutionBlock(widths[2], widths[3], layers[3])
        self.reduce = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[2::-1])
        self.decoder = nn.ModuleList(
            ConvolutionBlock(2 * width, width, n) for width, n in zip(widths[2::-1], layers[4:], strict=True)
        )
        self.head = nn.Conv2d(filters, n_classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class logits of images.

        Parameters
        ----------
        images
            Normalised, with shape (n, 1, rows, columns), rows and columns multiples of `reduction`.

        Returns
        -------
        torch.Tensor
            With shape (n, n_classes, rows, columns).
        """
        skipped, x = [], images
        for block in self.encoder:
            x = block(x)
            skipped.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for reduce, block, skip in zip(self.reduce, self.decoder, reversed(skipped), strict=True):
            # Reducing before up-sampling is the same linear map as after it, at a quarter of the cost.
            x = nn.functional.interpolate(reduce(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        return self.head(x)

    def fuse(self) -> UNet:
        """Fold batch normalisation into the convolutions, in place; for inference only."""
        self.eval()
        self.encoder = nn.ModuleList(cast(ConvolutionBlock, block).fused() for block in self.encoder)
        self.bottom = cast(ConvolutionBlock, self.bottom).fused()  # type: ignore[assignment]
        self.decoder = nn.ModuleList(cast(ConvolutionBlock, block).fused() for block in self.decoder)
        return self
