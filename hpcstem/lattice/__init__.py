"""From images of alloys to lattice models, normal modes of distortion, and order parameters."""

from hpcstem.lattice.assignment import AssignedSites, assign_sites
from hpcstem.lattice.classes import CLASSES, LocalClasses, first_rings, shell_counts
from hpcstem.lattice.distance import statistical_distance
from hpcstem.lattice.distortions import LocalDistortions, local_distortions
from hpcstem.lattice.fit import LatticeFit, SamplingPlan, fit_lattice
from hpcstem.lattice.kawasaki import Exchanges
from hpcstem.lattice.landau import MONOLAYER, ONE_COMPONENT, LandauFit, LandauPolynomial, fit_landau
from hpcstem.lattice.mode_statistics import ModeStatistics, ModeStatisticsAnalysis
from hpcstem.lattice.model import MODELS, LatticeModel, many_body, pair_additive
from hpcstem.lattice.modes import ModeAnalysis, NormalModes
from hpcstem.lattice.profiles import BoundaryMap, InterfaceDecay, fit_boundary_map, fit_interface, fit_wall
from hpcstem.lattice.sampling import LatticeSampling, Snapshots
from hpcstem.lattice.triangular import SiteGrid

__all__ = [
    "CLASSES",
    "MODELS",
    "MONOLAYER",
    "ONE_COMPONENT",
    "AssignedSites",
    "BoundaryMap",
    "Exchanges",
    "InterfaceDecay",
    "LandauFit",
    "LandauPolynomial",
    "LatticeFit",
    "LatticeModel",
    "LatticeSampling",
    "LocalClasses",
    "LocalDistortions",
    "ModeAnalysis",
    "ModeStatistics",
    "ModeStatisticsAnalysis",
    "NormalModes",
    "SamplingPlan",
    "SiteGrid",
    "Snapshots",
    "assign_sites",
    "first_rings",
    "fit_boundary_map",
    "fit_interface",
    "fit_landau",
    "fit_lattice",
    "fit_wall",
    "local_distortions",
    "many_body",
    "pair_additive",
    "shell_counts",
    "statistical_distance",
]
