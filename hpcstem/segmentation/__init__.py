"""Images to atoms: networks, ensembles, decoding."""

from hpcstem.segmentation.decoding import decode, decode_frame
from hpcstem.segmentation.ensemble import Ensemble
from hpcstem.segmentation.refine import Refined, refine
from hpcstem.segmentation.training_config import TrainingConfig

__all__ = ["Ensemble", "Refined", "TrainingConfig", "decode", "decode_frame", "refine"]
