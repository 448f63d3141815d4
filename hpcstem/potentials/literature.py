"""Lennard-Jones parameters of carbon and silicon in the literature, and the energy calibration on one of them.

References
----------
.. [1] N. Inui and S. Iwasaki, e-J. Surf. Sci. Nanotech. 15, 40 (2017), https://doi.org/10.1380/ejssnt.2017.40
.. [2] M. Pykal et al., Phys. Chem. Chem. Phys. 18, 6351 (2016), https://doi.org/10.1039/C5CP03599F (a review, from
   which the other parameters of carbon are taken)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.fitted import FittedPotential


@dataclass(frozen=True)
class LiteratureRow:
    """One published potential.

    Parameters
    ----------
    source
        Who.
    pair
        Chemical symbols.
    sigma_A
        Distance of zero energy [Å].
    epsilon_meV
        Depth [meV].
    """

    source: str
    pair: tuple[str, str]
    sigma_A: float
    epsilon_meV: float

    @property
    def minimum_A(self) -> float:
        """Distance of the minimum [Å]."""
        return self.sigma_A * 2 ** (1 / 6)


LENNARD_JONES = (
    LiteratureRow("Inui and Iwasaki", ("C", "C"), 3.431, 4.55),
    LiteratureRow("Parm 99", ("C", "C"), 3.39967, 3.7),
    LiteratureRow("OPLS", ("C", "C"), 3.55, 3.0),
    LiteratureRow("CHARMM27", ("C", "C"), 3.5505, 3.0),
    LiteratureRow("Ulbricht et al.", ("C", "C"), 3.78108, 2.63),
    LiteratureRow("Girifalco et al.", ("C", "C"), 3.41214, 2.39),
    LiteratureRow("Cheng and Steele", ("C", "C"), 3.39967, 2.42),
    LiteratureRow("COMPASS", ("C", "C"), 3.48787, 2.9),
    LiteratureRow("Inui and Iwasaki", ("C", "Si"), 3.629, 8.91),
)
"""Table 1 of the study of silicon in graphene, and its C–Si potential [1]_ [2]_."""
DEFAULT_DEPTH_MEV = 4.55
"""Depth of C–C on which that study sets the scale of energy [1]_."""


@dataclass(frozen=True)
class FittedRow:
    """One fitted well beside the literature.

    Parameters
    ----------
    pair
        Chemical symbols.
    minimum_A
        Distance of the minimum [Å].
    depth_meV, error_meV
        Depth after calibration and its standard deviation [meV].
    depth_kT
        Depth over kT: needs no calibration.
    """

    pair: tuple[str, str]
    minimum_A: float
    depth_meV: float
    error_meV: float
    depth_kT: float


def calibrate_energy(potential: FittedPotential, pair: int = 0, depth_meV: float = DEFAULT_DEPTH_MEV) -> float:
    """Energy per unit of the fit [meV] that gives one well a known depth.

    Raises
    ------
    StructureError
        That pair has no well where the data speak.
    """
    well = potential.well(pair)
    if well is None or not well[1] > 0:
        raise StructureError(
            f"well of {'-'.join(potential.pairs[pair])}",
            "none where the data speak",
            "a pair with a minimum below zero",
        )
    return depth_meV / well[1]


def compared(potential: FittedPotential, unit_meV: float) -> list[FittedRow]:
    """Wells of the fit in the units of the literature; pairs without a well are left out."""
    rows = []
    for k, pair in enumerate(potential.pairs):
        well = potential.well(k)
        if well is not None:
            error = float(potential.deviation(k, np.array([well[0]]))[0])
            rows.append(FittedRow(pair, well[0], well[1] * unit_meV, error * unit_meV, well[1] / potential.kT))
    return rows
