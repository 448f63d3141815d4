"""Pair distances and forces from decoded atoms: distributions, calibration, and potentials from observed motion."""

from hpcstem.potentials.bases import GaussianBasis, PairBasis, SplineBasis
from hpcstem.potentials.calibration import LengthCalibration, calibrate_length
from hpcstem.potentials.equations import EquationSums, ForceEquations
from hpcstem.potentials.export import PairCalculator, read_potential, write_lammps_table, write_potential
from hpcstem.potentials.fitted import FittedPotential, solve
from hpcstem.potentials.indirect import indirect_inference
from hpcstem.potentials.material import MaterialDistribution
from hpcstem.potentials.motion import MotionStatistics
from hpcstem.potentials.pairs import HalfPairs, half_pairs, pair_histogram, species_pairs
from hpcstem.potentials.pmf import MeanForcePotential, mean_force_potential
from hpcstem.potentials.rdf import RDF, RadialDistribution, RDFCounts
from hpcstem.potentials.settings import FitSettings
from hpcstem.potentials.sources import open_trajectory
from hpcstem.potentials.streaming import InMemory, Streamed, segments
from hpcstem.potentials.study import Study, fit
from hpcstem.potentials.three_body import ThreeBodyBasis
from hpcstem.potentials.toy import ToySystem
from hpcstem.potentials.trajectory import Trajectory
from hpcstem.potentials.verdict import Verdict

__all__ = [
    "RDF",
    "EquationSums",
    "FitSettings",
    "FittedPotential",
    "ForceEquations",
    "GaussianBasis",
    "HalfPairs",
    "InMemory",
    "LengthCalibration",
    "MaterialDistribution",
    "MeanForcePotential",
    "MotionStatistics",
    "PairBasis",
    "PairCalculator",
    "RDFCounts",
    "RadialDistribution",
    "SplineBasis",
    "Streamed",
    "Study",
    "ThreeBodyBasis",
    "ToySystem",
    "Trajectory",
    "Verdict",
    "calibrate_length",
    "fit",
    "half_pairs",
    "indirect_inference",
    "mean_force_potential",
    "open_trajectory",
    "pair_histogram",
    "read_potential",
    "segments",
    "solve",
    "species_pairs",
    "write_lammps_table",
    "write_potential",
]
