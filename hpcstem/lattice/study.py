"""The parts of a study: what each computes, as values that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.lattice.assignment import AssignedSites
from hpcstem.lattice.classes import CLASSES
from hpcstem.lattice.distortions import LocalDistortions, local_distortions
from hpcstem.lattice.fit import AnalysisRunner, LatticeFit, SamplingPlan, fit_lattice
from hpcstem.lattice.images import errors_naming
from hpcstem.lattice.landau import MONOLAYER, LandauFit, fit_landau
from hpcstem.lattice.mode_statistics import ModeStatisticsAnalysis
from hpcstem.lattice.model import MODELS
from hpcstem.lattice.modes import ModeAnalysis, NormalModes
from hpcstem.lattice.study_config import FitSection, ModesSection


def site_results(sites: AssignedSites) -> dict[str, Any]:
    """What is known of an image's lattice."""
    return {
        "species": sites.grid.species.tolist(),
        "fraction_B": sites.grid.fraction_B,
        "vectors_A": sites.vectors_A.tolist(),
        "origin_A": sites.origin_A.tolist(),
        "n_left_out": sites.n_left_out,
        "contradictions": sites.contradictions,
        "rms_displacement_A": float(np.sqrt(np.nanmean(sites.displacement_A**2))),
    }


def fit_results(
    name: str, sites: AssignedSites, section: FitSection, runner: AnalysisRunner, seed: np.random.SeedSequence
) -> dict[str, Any]:
    """Fits of every model to one image.

    Raises
    ------
    StructureError
        No site has all of its neighbours, or only one species is there.
    """
    classes = CLASSES[section.classes]()
    histogram = classes.histogram(sites.grid)
    plan = SamplingPlan(section.n_side, section.n_chains, section.n_snapshots)
    fits = []
    for model_name, chains in zip(section.models, seed.spawn(len(section.models)), strict=True):
        model = MODELS[model_name]()
        with errors_naming(name):
            fit = fit_lattice(histogram, classes, model, runner, chains, plan)
        fits.append({"model": model_name, "terms": list(model.terms)} | _of_fit(fit))
    return {"classes": classes.name, "histogram": histogram.tolist(), "models": fits}


def _of_fit(fit: LatticeFit) -> dict[str, Any]:
    return {
        "weights_kT": fit.weights.tolist(),
        "sigma_kT": fit.sigma.tolist(),
        "covariance_kT2": fit.covariance.tolist(),
        "cramer_rao_kT": fit.bound.tolist(),
        "frequencies": fit.frequencies.tolist(),
        "distance": fit.distance,
        "p_value": fit.p_value,
        "converged": fit.converged,
        "path_kT": fit.path.tolist(),
        "n_sites": fit.n_sites,
        "n_attempts": fit.n_attempts,
    }


def mode_results(images: dict[str, AssignedSites], section: ModesSection, runner: AnalysisRunner) -> dict[str, Any]:
    """Normal modes of all images, their statistics, and the local free energy of each image.

    Raises
    ------
    StructureError
        Too few sites have all of their first neighbours, or the number of modes splits a multiplet.
    """
    distortions = [local_distortions(sites) for sites in images.values()]
    modes: NormalModes = runner.run(ModeAnalysis(), distortions)
    statistics = runner.run(ModeStatisticsAnalysis(modes, section.n_dominant), distortions)
    found: dict[str, Any] = {
        "vectors": modes.vectors.tolist(),
        "variance_A2": modes.variance_A2.tolist(),
        "multiplet": modes.multiplet.tolist(),
        "n_sites": modes.n_sites,
        "images": [
            {
                "name": name,
                "fraction_B": one.fraction_B,
                "edges_A": one.edges_A.tolist(),
                "histogram": one.histogram.tolist(),
                "mean_square_A2": [[None if np.isnan(v) else v for v in row] for row in one.mean_square_A2.tolist()],
                "local_breaking": [one.local_breaking, one.local_error],
                "global_breaking": [one.global_breaking, one.global_error],
            }
            for name, one in zip(images, statistics, strict=True)
        ],
    }
    if section.landau:
        fits = runner.run(LandauOfImages(modes), distortions)
        found["landau"] = [{"name": name} | fit for name, fit in zip(images, fits, strict=True)]
    return found


@dataclass(frozen=True)
class LandauOfImages:
    """Analysis: local distortions of images to their local free energies; a batch is one image.

    Parameters
    ----------
    modes
        Of all images together; the three strongest a doublet (η₁, η₂) and a singlet η₃.

    Raises
    ------
    StructureError
        They are not.
    """

    modes: NormalModes

    def __post_init__(self) -> None:
        self._components()

    def process(self, batch: LocalDistortions) -> tuple[dict[str, Any], ...]:
        """Fit one image; where its sites do not determine the coefficients, say so."""
        order = self._components()
        spread_A = np.sqrt(self.modes.variance_A2[order])
        eta = self.modes.amplitudes_A(batch)[:, order] / spread_A
        try:
            fit = fit_landau(eta, MONOLAYER, batch.block)
        except StructureError as error:
            return ({"failure": str(error)},)
        return (_of_landau(fit, eta, spread_A),)

    def merge(self, left: tuple[dict[str, Any], ...], right: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Put images one after another."""
        return left + right

    def finish(self, partial: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Return the images in their order."""
        return partial

    def _components(self) -> list[int]:
        """Modes that are η₁, η₂, η₃."""
        multiplet = self.modes.multiplet[:4].tolist()
        if multiplet == [0, 1, 1, 2]:
            return [1, 2, 0]
        if multiplet == [0, 0, 1, 2]:
            return [0, 1, 2]
        raise StructureError(
            "three strongest modes", f"multiplets {multiplet}", "a doublet and a singlet; or write `landau: false`"
        )


def _of_landau(fit: LandauFit, eta: np.ndarray, spread_A: np.ndarray) -> dict[str, Any]:
    edges = np.linspace(-fit.reach, fit.reach, 42)
    seen = [np.histogram(component, edges, density=True)[0].tolist() for component in _symmetric(eta).T]
    fitted = [fit.density(component) for component in range(eta.shape[1])]
    return {
        "terms": list(fit.polynomial.terms),
        "coefficients_kT": fit.coefficients.tolist(),
        "sigma_kT": fit.sigma.tolist(),
        "bounded": fit.bounded,
        "unit_of_eta_A": spread_A.tolist(),
        "edges": edges.tolist(),
        "density_seen": seen,
        "eta": fitted[0][0].tolist(),
        "density_fitted": [density.tolist() for _, density in fitted],
    }


def _symmetric(eta: np.ndarray) -> np.ndarray:
    """All that the symmetry makes of each (η₁, η₂, η₃): a free energy cannot tell them apart, an image may."""
    half, height = 0.5, np.sqrt(3) / 2
    turn = np.array([[-half, -height, 0.0], [height, -half, 0.0], [0.0, 0.0, 1.0]])
    turned = np.concatenate([eta, eta @ turn, eta @ turn.T])
    mirrored = np.concatenate([turned, turned * (1.0, -1.0, 1.0)])
    return np.concatenate([mirrored, -mirrored])
