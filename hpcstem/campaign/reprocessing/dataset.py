"""A dataset's settings, and whose folder it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hpcstem
from hpcstem.campaign.run import Run
from hpcstem.errors import HpcstemError
from hpcstem.files import read_json

SETTINGS_FILE = "dataset.json"
"""File of the settings, which makes a folder a dataset."""


@dataclass(frozen=True)
class DatasetSettings:
    """How the movies of a dataset are decoded.

    Parameters
    ----------
    model
        Folder of the ensemble, or the name of one that ships with the package.
    refine
        As in `hpcstem.segmentation.decode_frame`.
    chunk_MB
        Largest size of a chunk in memory as float32 [1e6 bytes]. Decides only how work is cut.
    """

    model: str | Path = "graphene-si"
    refine: bool = True
    chunk_MB: float = 16.0


def describe(settings: DatasetSettings) -> dict[str, Any]:
    """Content of `dataset.json`; its hash is over all that decides the atoms of a movie."""
    from hpcstem.segmentation.chunks import FORMAT
    from hpcstem.segmentation.ensemble import Ensemble

    ensemble = Ensemble.load(settings.model)
    decides = {"model_sha256": ensemble.digest, "refine": settings.refine, "decoding": FORMAT}
    config_sha256 = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return {
        "format": 1,
        "model": ensemble.name,
        **decides,
        "config_sha256": config_sha256,
        "hpcstem": hpcstem.__version__,
    }


def check_owner(run: Run, described: dict[str, Any], settings_file: str = SETTINGS_FILE) -> None:
    """Refuse a folder of other files, or with atoms of another model, before anything is written there.

    Raises
    ------
    HpcstemError
        It is such a folder.
    """
    path = run.path(settings_file)
    names = {entry.name for entry in run.folder.iterdir()} if run.folder.is_dir() else set()
    if path.name in names:
        held = read_json(path)
        if held.get("format") != described["format"]:
            raise HpcstemError(f"{path}", f"format {held.get('format')}", f"format {described['format']}")
        if held.get("config_sha256") != described["config_sha256"]:
            got, now = _in_words(held), _in_words(described)
            raise HpcstemError(
                f"{run.folder} holds atoms of other settings", got, f"these, or another --out than for {now}"
            )
    elif any(name != "run.lock" and not name.startswith(f".{path.name}.") for name in names):
        got = f"other files and no {settings_file}"
        raise HpcstemError(f"{run.folder} cannot take the results", got, "a new or empty --out folder")


def _in_words(described: Mapping[str, Any]) -> str:
    return (
        f"model {described.get('model')} {str(described.get('model_sha256'))[:12]}, refine {described.get('refine')}, "
        f"version {described.get('decoding')} of decoding"
    )
