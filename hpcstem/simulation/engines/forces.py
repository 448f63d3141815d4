"""Energies and forces of calculators of ASE's interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms

from hpcstem.errors import SimulationError


class CalculatorForces:
    """Energy and forces of a calculator; it keeps what it likes from call to call until it is forgotten.

    Parameters
    ----------
    atoms
        Elements, cell and boundaries.
    make
        Makes a new calculator.
    name
        Name for messages; that of the calculator's class if absent.
    wanted
        What to change where it fails.

    Attributes
    ----------
    inputs
        What the forces rest on beside the settings, for the result.
    """

    def __init__(
        self,
        atoms: Atoms,
        make: Callable[[], Any],
        name: str | None = None,
        wanted: str = "elements and positions that it knows",
    ) -> None:
        self.inputs: Mapping[str, Any] = {}
        self._atoms = Atoms(atoms.get_chemical_symbols(), atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        self._make, self._name, self._wanted = make, name, wanted
        self.forget()

    def __call__(self, positions_A: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy [eV] and the forces [eV/Å], with shape (n_atoms, 3), float64.

        Parameters
        ----------
        positions_A
            Positions [Å], with shape (n_atoms, 3), float64.

        Raises
        ------
        SimulationError
            The calculator fails.
        """
        self._atoms.positions = positions_A
        return float(self._of("energy")), np.array(self._of("forces"))

    def with_stress(self, positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the energy [eV], the forces [eV/Å] and the stress [eV/Å³], with shape (3, 3), float64.

        Parameters
        ----------
        positions_A
            Positions [Å], with shape (n_atoms, 3), float64.
        cell_A
            Rows are the cell's vectors [Å], with shape (3, 3), float64.

        Raises
        ------
        SimulationError
            The calculator fails, or has no stress.
        """
        from ase.stress import voigt_6_to_full_3x3_stress

        self._atoms.cell = cell_A
        return *self(positions_A), voigt_6_to_full_3x3_stress(self._of("stress"))

    def forget(self) -> None:
        """Make the calculator anew."""
        try:
            self._atoms.calc = self._make()
        except Exception as error:
            raise SimulationError("a calculator", error, "arguments that it takes") from error

    def _of(self, quantity: str) -> Any:
        try:
            return self._atoms.calc.get_property(quantity, self._atoms)
        except Exception as error:  # each calculator raises its own
            name = self._name or type(self._atoms.calc).__name__
            raise SimulationError(f"{name} found no {quantity}", error, self._wanted) from error
