"""What `hpcstem train` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcstem.errors import ModelError
from hpcstem.imaging.training import TrainingRecipe
from hpcstem.segmentation.architecture import LAYERS, Layers
from hpcstem.segmentation.training_set import is_training_set


class TrainingConfig(BaseModel):
    """What `hpcstem train` reads.

    Attributes
    ----------
    recipe
        What the training images are drawn from.
    n_samples, n_validation
        Training images, and simulated images held out for metrics.
    members
        Networks in the ensemble.
    steps, batch_size, learning_rate
        Of Adam; the rate falls to zero by a half cosine.
    silicon_weight
        Weight of Si pixels in the cross-entropy; Si is rare.
    precision
        `mixed` computes convolutions in the device's short number type where it has one, else in float32.
    mix, mix_share
        Folders of further training images, such as labelled frames, and the share of the images drawn that are theirs.
    seed
        Gives every random stream.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: TrainingRecipe = TrainingRecipe()
    n_samples: int = Field(2000, ge=8)
    n_validation: int = Field(64, ge=4)
    members: int = Field(3, ge=1, le=100)
    filters: int = Field(16, ge=2, le=256)
    layers: Layers = LAYERS
    steps: int = Field(2000, ge=1)
    batch_size: int = Field(8, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    silicon_weight: float = Field(2.0, gt=0)
    precision: Literal["float32", "mixed", "float64"] = "float32"
    mix: tuple[Path, ...] = ()
    mix_share: float = Field(0.25, gt=0, lt=1)
    seed: int = Field(0, ge=0)

    def mixed_with(self, folders: Iterable[Path]) -> TrainingConfig:
        """Return this configuration with more to train on: folders of training images, or of extended XYZ files.

        Raises
        ------
        ModelError
            A folder holds neither.
        """
        sets, structures = list(self.mix), list(self.recipe.structures)
        for folder in folders:
            files = sorted(path for path in folder.glob("*.*xyz") if path.suffix in (".xyz", ".extxyz"))
            if is_training_set(folder):
                sets.append(folder.resolve())
            elif files:
                structures += [path.resolve() for path in files]
            else:
                raise ModelError(
                    f"nothing to train on in {folder}", wanted="a folder with training-set.json, or with *.xyz files"
                )
        recipe = self.recipe.model_copy(update={"structures": tuple(structures)})
        return self.model_copy(update={"recipe": recipe, "mix": tuple(sets)})

    def with_paths_from(self, folder: Path) -> TrainingConfig:
        """Return this configuration with relative paths taken from a folder."""
        recipe = self.recipe.model_copy(
            update={"structures": tuple((folder / path).resolve() for path in self.recipe.structures)}
        )
        mix = tuple((folder / path).resolve() for path in self.mix)
        return self.model_copy(update={"recipe": recipe, "mix": mix})
