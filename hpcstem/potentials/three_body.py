r"""Three-body term: an atom's energy from the angles between its close neighbours, linear in the coefficients.

.. math:: U_3 = \sum_i \sum_{j<k} \sum_{a,l} h_{al} φ_a(r_{ij}) φ_a(r_{ik}) P_l(\cos θ_{jik}),
   \qquad φ_a(r) = (1 - r / r_c)^{a+2},

with Legendre's polynomials, and coefficients of their own for each kind of triple: the species of the atom in the
middle and of the two ends. With one window it has the form of Stillinger and Weber's potential [1]_.

References
----------
.. [1] F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985), https://doi.org/10.1103/PhysRevB.31.5262
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.pairs import half_pairs, species_pairs


@dataclass(frozen=True)
class ThreeBodyBasis:
    """Functions of a triple of atoms.

    Parameters
    ----------
    cutoff_A
        Where both neighbours end [Å]: about 1.3 bond lengths.
    n_radial
        Number of windows.
    n_angular
        Number of Legendre's polynomials, from the constant one.

    Raises
    ------
    StructureError
        A length or a number that is not above zero.
    """

    cutoff_A: float
    n_radial: int = 1
    n_angular: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.cutoff_A < np.inf:
            raise StructureError("cut-off of the three-body term", f"{self.cutoff_A} Å", "a length above 0 Å")
        if self.n_radial < 1 or self.n_angular < 1:
            got = f"{self.n_radial} windows, {self.n_angular} polynomials"
            raise StructureError("functions of the three-body term", got, "at least one of each")

    @property
    def n_columns(self) -> int:
        """Functions of one kind of triple: the polynomials of the first window, of the second, …."""
        return self.n_radial * self.n_angular

    def n_unknowns(self, n_species: int) -> int:
        """Coefficients of all kinds."""
        return len(triple_kinds(n_species)) * self.n_columns

    def values(self, r_A: float, angle_rad: np.ndarray) -> np.ndarray:
        """Each function for two neighbours at the same distance, with shape (n_angles, n_columns), float64."""
        polynomials = np.polynomial.legendre.legvander(np.cos(angle_rad), self.n_angular - 1)
        window = max(1 - r_A / self.cutoff_A, 0.0) ** (2 * np.arange(self.n_radial) + 4)
        return np.asarray((polynomials[:, None, :] * window[:, None]).reshape(len(polynomials), -1))

    def kernel(self) -> np.ndarray:
        """Prior covariance of the coefficients of one kind, up to a factor, with shape (n_columns, n_columns)."""
        degree = np.arange(self.n_angular)
        return np.diag(np.tile(1.0 / (1 + degree * (degree + 1)) ** 2, self.n_radial))

    def add_forces(
        self,
        out: np.ndarray,
        energy: np.ndarray,
        positions_A: np.ndarray,
        species: np.ndarray,
        n_species: int,
        box_A: tuple[float, float] | None,
    ) -> None:
        """Add the force on every atom, and the energy, per unit of each coefficient.

        Parameters
        ----------
        out
            With shape (n_atoms, 2, n_unknowns), floating: atom, axis x or y, coefficient.
        energy
            With shape (n_unknowns,), float64.
        positions_A
            (x, y) [Å], with shape (n_atoms, 2), float64.
        species
            Index of each atom's species, with shape (n_atoms,), int64.
        n_species
            Number of species.
        box_A
            Sides of a periodic rectangle [Å]; None for open boundaries.
        """
        near = half_pairs(positions_A, self.cutoff_A, box_A)
        middle, end = np.concatenate([near.first, near.second]), np.concatenate([near.second, near.first])
        vector_A = np.concatenate([near.vector_A, -near.vector_A])
        order = np.argsort(middle, kind="stable")
        begin = np.searchsorted(middle[order], np.arange(len(positions_A) + 1))
        kinds = np.zeros((n_species,) * 3, np.int64)
        for k, (s, a, b) in enumerate(triple_kinds(n_species)):
            kinds[s, a, b] = kinds[s, b, a] = k
        _add(begin, end[order], vector_A[order], species, kinds, self.cutoff_A, self.n_radial, self.n_angular, out,
             energy)  # fmt: skip


def triple_kinds(n_species: int) -> list[tuple[int, int, int]]:
    """Species of the middle and, unordered, of the two ends, in the order of the coefficients."""
    return [(s, a, b) for s in range(n_species) for a, b in species_pairs(n_species)]


@numba.njit(cache=True)
def _add(
    begin: np.ndarray,
    end: np.ndarray,
    vector: np.ndarray,
    species: np.ndarray,
    kinds: np.ndarray,
    cutoff: float,
    n_radial: int,
    n_angular: int,
    out: np.ndarray,
    energy: np.ndarray,
) -> None:
    legendre, slope = np.ones(n_angular), np.zeros(n_angular)
    for i in range(len(begin) - 1):
        for p in range(begin[i], begin[i + 1]):
            for q in range(p + 1, begin[i + 1]):
                j, k = end[p], end[q]
                xj, yj, xk, yk = vector[p, 0], vector[p, 1], vector[q, 0], vector[q, 1]
                rj, rk = np.hypot(xj, yj), np.hypot(xk, yk)
                cosine = (xj * xk + yj * yk) / (rj * rk)
                # How the cosine changes with the place of either end.
                cxj, cyj = xk / (rj * rk) - cosine * xj / rj**2, yk / (rj * rk) - cosine * yj / rj**2
                cxk, cyk = xj / (rj * rk) - cosine * xk / rk**2, yj / (rj * rk) - cosine * yk / rk**2
                for n in range(1, n_angular):
                    before = legendre[n - 2] if n > 1 else 0.0
                    legendre[n] = ((2 * n - 1) * cosine * legendre[n - 1] - (n - 1) * before) / n
                    slope[n] = n * legendre[n - 1] + cosine * slope[n - 1]
                column = kinds[species[i], species[j], species[k]] * n_radial * n_angular
                for a in range(n_radial):
                    hj, hk = 1 - rj / cutoff, 1 - rk / cutoff
                    window = (hj * hk) ** (a + 2)
                    wj, wk = -(a + 2) * window / (hj * cutoff * rj), -(a + 2) * window / (hk * cutoff * rk)
                    for n in range(n_angular):
                        gxj = wj * xj * legendre[n] + window * slope[n] * cxj
                        gyj = wj * yj * legendre[n] + window * slope[n] * cyj
                        gxk = wk * xk * legendre[n] + window * slope[n] * cxk
                        gyk = wk * yk * legendre[n] + window * slope[n] * cyk
                        at = column + a * n_angular + n
                        out[j, 0, at] -= gxj
                        out[j, 1, at] -= gyj
                        out[k, 0, at] -= gxk
                        out[k, 1, at] -= gyk
                        out[i, 0, at] += gxj + gxk
                        out[i, 1, at] += gyj + gyk
                        energy[at] += window * legendre[n]
