"""Settings of the models and of their training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpcstem.config import Section

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]


class RotationalConfig(Section):
    """The rotationally invariant variational autoencoder.

    Parameters
    ----------
    n_content
        Continuous latents that say what is in a sub-image.
    n_classes
        Classes besides them, of the joint model; 1 is the plain one.
    encoder
        `dense` for decoded maps, `convolution` for raw frames.
    n_hidden
        Neurons in each hidden layer.
    n_turns
        Angles from which the search for the angle starts, evenly spaced; 1 starts from none but zero.
    n_candidates
        Starts that are weighed by the whole model, of those that match its templates best.
    angle_sigma_rad
        Standard deviation of the prior of the angle around its start [rad].
    shift_sigma
        Standard deviation of the prior of each translation, half widths of the window.
    noise
        Standard deviation of a pixel about the decoder's value, in units of that of all sub-images.
    pixel_stride
        A step of training draws one pixel in so many along each axis, other ones each time; 1 draws all.
    """

    n_content: Annotated[int, Field(ge=1, le=32)] = 2
    n_classes: Annotated[int, Field(ge=1, le=32)] = 1
    encoder: Literal["dense", "convolution"] = "dense"
    n_hidden: Annotated[int, Field(ge=2, le=4096)] = 128
    n_turns: Annotated[int, Field(ge=1, le=360)] = 24
    n_candidates: _Count = 4
    angle_sigma_rad: _Positive = 0.1
    shift_sigma: _Positive = 0.1
    noise: _Positive = 0.5
    pixel_stride: Annotated[int, Field(ge=1, le=8)] = 2


class AutoencoderConfig(Section):
    """The convolutional autoencoder, plain or variational.

    Parameters
    ----------
    n_content
        Latents.
    variational
        Whether they have a prior and a deviation.
    noise
        As of `RotationalConfig`; of no effect on the plain one.
    """

    n_content: Annotated[int, Field(ge=1, le=32)] = 2
    variational: bool = False
    noise: _Positive = 0.5


class TrainingConfig(Section):
    """How a model is trained.

    Parameters
    ----------
    epochs
        Most passes over the training images.
    batch_size, learning_rate
        Of Adam.
    held_out
        Share of the images on which the loss is measured and nothing is learned.
    kl_start
        Weight of the Kullback-Leibler divergence at the beginning; it goes to 1 in equal steps.
    kl_epochs
        Epochs until it is 1.
    patience
        Epochs without a better loss on held-out images after which training ends, once that weight is 1.
    """

    epochs: _Count = 100
    batch_size: _Count = 100
    learning_rate: _Positive = 1e-4
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    kl_start: Annotated[float, Field(ge=0)] = 1.0
    kl_epochs: Annotated[int, Field(ge=0)] = 0
    patience: _Count = 20

    def kl_weight(self, epoch: int) -> float:
        """Weight of the divergence in an epoch, counted from 0."""
        if epoch >= self.kl_epochs:
            return 1.0
        return self.kl_start + (1.0 - self.kl_start) * epoch / self.kl_epochs
