"""Structures to images: probe, linear image model, acquisition, training images, simulated movies."""

from hpcstem.imaging.acquisition import Acquisition, acquire
from hpcstem.imaging.linear import ideal_image
from hpcstem.imaging.movie import simulate_movie
from hpcstem.imaging.probe import Probe
from hpcstem.imaging.training import TrainingRecipe

__all__ = ["Acquisition", "Probe", "TrainingRecipe", "acquire", "ideal_image", "simulate_movie"]
