"""Kinetics of defects: classes, transition matrices, lifetimes, diffusion, and a library of structures."""

from hpcstem.kinetics.chain_tests import chapman_kolmogorov, detailed_balance, independence, memory
from hpcstem.kinetics.counts import CountTransitions, TransitionCounts
from hpcstem.kinetics.diffusion import SumDisplacements, diffusion
from hpcstem.kinetics.image_classes import image_classes
from hpcstem.kinetics.library import BuildLibrary, with_energies
from hpcstem.kinetics.lifetimes import CountDwells, lifetimes, survival
from hpcstem.kinetics.matrix import TransitionMatrix, transition_matrix
from hpcstem.kinetics.observation import observe
from hpcstem.kinetics.rates import Rates, rates
from hpcstem.kinetics.reversible import reversible_transition_matrix
from hpcstem.kinetics.trajectory import ClassTrajectory, class_trajectories

__all__ = [
    "BuildLibrary",
    "ClassTrajectory",
    "CountDwells",
    "CountTransitions",
    "Rates",
    "SumDisplacements",
    "TransitionCounts",
    "TransitionMatrix",
    "chapman_kolmogorov",
    "class_trajectories",
    "detailed_balance",
    "diffusion",
    "image_classes",
    "independence",
    "lifetimes",
    "memory",
    "observe",
    "rates",
    "reversible_transition_matrix",
    "survival",
    "transition_matrix",
    "with_energies",
]
