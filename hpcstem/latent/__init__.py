"""What sub-images are made of: linear unmixing, autoencoders, and what is left when turns are taken out.

Modules that need PyTorch are imported by name: `hpcstem.latent.rotational`, `hpcstem.latent.training`.
"""

from hpcstem.latent.cutting import CutSubImages, Window
from hpcstem.latent.measures import misorientation_rad, mutual_information, ranking, resultant
from hpcstem.latent.settings import AutoencoderConfig, RotationalConfig, TrainingConfig
from hpcstem.latent.sub_images import ImagesInMemory, ImagesOnDisk, SubImages, batches
from hpcstem.latent.unmixing import Unmixed, unmix

__all__ = [
    "AutoencoderConfig",
    "CutSubImages",
    "ImagesInMemory",
    "ImagesOnDisk",
    "RotationalConfig",
    "SubImages",
    "TrainingConfig",
    "Unmixed",
    "Window",
    "batches",
    "misorientation_rad",
    "mutual_information",
    "ranking",
    "resultant",
    "unmix",
]
