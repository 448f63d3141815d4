"""Results of a study on disk: one JSON summary, the arrays, and the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ase
import numpy as np

from hpcstem.files import whole_file, write_json
from hpcstem.kinetics.diffusion import Diffusion, gate_factor
from hpcstem.kinetics.library import LibraryEntry
from hpcstem.kinetics.lifetimes import Lifetime
from hpcstem.kinetics.matrix import Interval
from hpcstem.kinetics.rates import Rates
from hpcstem.kinetics.simulated_defects import CLASSES
from hpcstem.kinetics.study import ChainResult, StudyResult
from hpcstem.kinetics.study_config import StudyConfig
from hpcstem.structure.exchange import write_xyz

_A2_IN_NM2 = 0.01


def write_results(out: Path, config: StudyConfig, result: StudyResult) -> None:
    """Write `kinetics.json`, `matrices.npz` and the folder `library`."""
    write_json(out / "kinetics.json", summary(config, result))
    arrays: dict[str, np.ndarray] = {"classes": np.array(result.classes)}
    for chain in result.chains:
        for count, matrix in zip(chain.counts, chain.matrices, strict=True):
            low, high = matrix.interval
            name = f"lag{count.lag_frames}{time_suffix(result, chain)}"
            arrays |= {f"counts_{name}": count.counts, f"matrix_{name}": matrix.estimate}
            arrays |= {f"matrix_low_{name}": low, f"matrix_high_{name}": high}
    write_arrays(out / "matrices.npz", arrays)
    write_library(out / "library", result.library, {"study": config.name, "seed": config.seed})


def time_suffix(result: StudyResult, chain: ChainResult) -> str:
    """What tells the files of one frame time from those of another, such as `-0.05s`; empty where there is one."""
    return f"-{chain.frame_time_s:g}s" if len(result.chains) > 1 else ""


def summary(config: StudyConfig, result: StudyResult) -> dict[str, Any]:
    """Numbers of a study with their units and intervals, as JSON values; unknown and infinite ones are null."""
    found: dict[str, Any] = {"name": config.name, "classes": list(result.classes)}
    chains = [_chain(config, result.classes, chain) for chain in result.chains]
    if len(chains) == 1:
        found |= chains[0]
    else:
        rates = result.rates
        found["rates_per_s"] = _rates(rates) if isinstance(rates, Rates) else {"because": rates}
        found["by_frame_time"] = chains
    found["library"] = [_entry(entry) for entry in result.library]
    if config.simulate is not None:
        found["truth"] = _truth(config, result)
    return found


def _chain(config: StudyConfig, classes: Sequence[str], chain: ChainResult) -> dict[str, Any]:
    matrix, frame_time_s = chain.matrices[0], chain.frame_time_s
    found: dict[str, Any] = {
        "lag_frames": matrix.lag_frames,
        "frame_time_s": frame_time_s,
        "counts": chain.counts[0].counts.tolist(),
        "transition_matrix": _matrix(matrix.estimate, *matrix.interval),
        "stationary": _matrix(*matrix.stationary),
        "second_eigenvalue": asdict(matrix.second_eigenvalue),
        "relaxation_s": _interval_s(matrix.relaxation_frames, frame_time_s),
        "tests": [asdict(test) for test in chain.tests],
        "lifetimes_s": {
            name: _lifetime_s(lifetime, frame_time_s) for name, lifetime in zip(classes, chain.lifetimes, strict=True)
        },
        "diffusion_nm2_per_s": {
            name: _diffusion_nm2(value, config.observe.defect_gate_A) for name, value in chain.diffusion.items()
        },
    }
    if chain.reversible is not None:
        found["reversible_transition_matrix"] = {
            "classes": [classes[state] for state in chain.reversible.states],
            **_matrix(chain.reversible.estimate, *chain.reversible.interval),
        }
    return found


def _rates(rates: Rates) -> dict[str, Any]:
    found = _matrix(rates.estimate, rates.low, rates.high)
    return found | {"lifetimes_s": _matrix(*rates.lifetimes_s), "agreement": asdict(rates.agreement)}


def write_library(folder: Path, library: Sequence[LibraryEntry], provenance: Mapping[str, Any]) -> None:
    """Export a library: `library.json`, `structures.xyz` in the same order, `images.npz` of the mean images."""
    write_json(folder / "library.json", {"provenance": dict(provenance), "entries": [_entry(e) for e in library]})
    structures = []
    for entry in library:
        environment = entry.environment
        atoms = ase.Atoms(environment.species.tolist(), np.pad(environment.positions_A, ((0, 0), (0, 1))))
        atoms.set_array("core", environment.core)
        atoms.info |= {"name": entry.name, "kind": entry.kind, "count": entry.count}
        structures.append(atoms)
    if structures:
        write_xyz(folder / "structures.xyz", structures, provenance)
    images = {entry.name: entry.image for entry in library if entry.image is not None}
    if images:
        write_arrays(folder / "images.npz", images)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to one `.npz` file, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))


def _truth(config: StudyConfig, result: StudyResult) -> dict[str, Any]:
    """Hold what was found against what was simulated."""
    assert config.simulate is not None  # noqa: S101 - for the type checker
    chain = result.chains[0]
    matrix = chain.matrices[0]
    known = [k for k, name in enumerate(result.classes) if name in CLASSES]
    simulated = [CLASSES.index(result.classes[k]) for k in known]
    truth = np.linalg.matrix_power(np.array(config.simulate.matrix), matrix.lag_frames)[np.ix_(simulated, simulated)]
    low, high = (ends[np.ix_(known, known)] for ends in matrix.interval)
    true_D = config.simulate.movie.diffusion_A2_per_frame / config.frame_time_s
    found_D = chain.diffusion.get("all")
    return {
        "classes": [result.classes[k] for k in known],
        "transition_matrix": truth.tolist(),
        "inside_interval": float(((low <= truth) & (truth <= high)).mean()),
        "diffusion_nm2_per_s": true_D * _A2_IN_NM2,
        "diffusion_found_over_true": found_D.coefficient_A2_per_s / true_D if found_D and true_D else None,
    }


def _matrix(estimate: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    return {name: _plain(values) for name, values in (("estimate", estimate), ("low", low), ("high", high))}


def _plain(values: Any) -> Any:
    """Nested lists of floats, None for what is not finite."""
    array = np.asarray(values, np.float64)
    return np.where(np.isfinite(array), array, None).tolist()  # type: ignore[call-overload]


def _interval_s(interval: Interval, frame_time_s: float) -> dict[str, Any]:
    return {name: _plain(value * frame_time_s) for name, value in asdict(interval).items()}


def _lifetime_s(lifetime: Lifetime, frame_time_s: float) -> dict[str, Any]:
    times = {"mean": lifetime.mean_frames, "low": lifetime.low_frames, "high": lifetime.high_frames}
    scaled = {name: _plain(value * frame_time_s) for name, value in times.items()}
    return scaled | {"steps_at_risk": lifetime.at_risk, "events": lifetime.events}


def _diffusion_nm2(value: Diffusion, gate_A: float) -> dict[str, Any]:
    return {
        "value": value.coefficient_A2_per_s * _A2_IN_NM2,
        "standard_error": value.standard_error_A2_per_s * _A2_IN_NM2,
        "low": value.low_A2_per_s * _A2_IN_NM2,
        "high": value.high_A2_per_s * _A2_IN_NM2,
        "naive": value.naive_A2_per_s * _A2_IN_NM2,
        "localisation_variance_A2": value.localisation_variance_A2,
        "gate_factor_if_gaussian": gate_factor(value.mean_square_step_A2, gate_A),
        "steps": value.n_steps,
        "tracks": value.n_tracks,
    }


def _entry(entry: LibraryEntry) -> dict[str, Any]:
    first, last = entry.seen[0], entry.seen[-1]
    return {
        "name": entry.name,
        "kind": entry.kind,
        "formula": entry.environment.formula,
        "count": entry.count,
        "spread_A": entry.spread_A,
        "first_seen": {"movie": first[0], "frame": first[1]},
        "last_seen": {"movie": last[0], "frame": last[1]},
        "energy_eV": entry.energy_eV,
        "energy_source": entry.energy_source,
    }
