r"""Normal equations of the overdamped force fit, one pass over the snapshots, exact.

With the displacement over a horizon of m intervals Δ, the weak form of the overdamped Langevin equation is

.. math:: \sum_t Z_t^T Θ_t \frac{x_{t+m} - x_t}{m Δ} = \Big[\sum_t Z_t^T Θ_t \sum_{k=0}^m q_k A_{t+k}\Big] h,

where A is the matrix of `hpcstem.potentials.design`, q the weights of a quadrature rule for the mean force
over the horizon, Z = A_{t-ℓ} the instruments, and Θ weights that sum to one in each frame, times one over the
atom's noise. The rule (1, 0) is Euler's, of first order in Δ; (½, ½) the trapezoid, of second; (⅙, ⅔, ⅙)
Simpson's. The lag ℓ = 1 makes the instruments independent of the localisation noise of the displacement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hpcstem.errors import StructureError
from hpcstem.potentials.alignment import Alignment
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.design import N_DISTANCE_BINS, DesignRows
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.three_body import ThreeBodyBasis
from hpcstem.potentials.trajectory import Trajectory

RULES = {"euler": (1.0, 0.0), "trapezoid": (0.5, 0.5), "simpson": (1 / 6, 2 / 3, 1 / 6)}
"""Quadrature weights of the force over the horizon, by name."""


@dataclass(frozen=True)
class EquationSums:
    """Partial result: sums over intervals.

    Parameters
    ----------
    gram
        Zᵀ Θ Z, with shape (n_unknowns, n_unknowns), float64.
    design
        Zᵀ Θ Σ q A, with shape (n_unknowns, n_unknowns), float64.
    moment
        Zᵀ Θ v, with shape (n_unknowns,), float64.
    power
        vᵀ Θ v.
    step_power
        The same of the displacement over one interval, not divided by its length [Å²].
    weight
        Sum of the weights over intervals, atoms and axes.
    squared_weight
        Sum of their squares.
    noise_weight
        Sum of the weights over mobilities: what one unit of localisation noise adds to `power`.
    n_intervals
        Intervals with at least one atom seen in all their snapshots.
    distances
        Pairs seen by species pair and distance, with shape (n_pairs, N_DISTANCE_BINS), int64.
    """

    gram: np.ndarray
    design: np.ndarray
    moment: np.ndarray
    power: float
    step_power: float
    weight: float
    squared_weight: float
    noise_weight: float
    n_intervals: int
    distances: np.ndarray

    def __add__(self, other: EquationSums) -> EquationSums:
        return EquationSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def scaled(self, factor: int) -> EquationSums:
        """All sums times a whole number; -1 takes a block out again."""
        return EquationSums(*(factor * getattr(self, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class ForceEquations:
    """Analysis: trajectories to the normal equations of the force fit.

    Parameters
    ----------
    basis
        Functions of the distance.
    symbols
        Names of the species.
    interval
        Time between snapshots.
    rule
        A key of `RULES`.
    lag
        Snapshots by which the instruments are earlier, 0 or 1.
    mobility
        Mobility of each species relative to the first's; one for all by default.
    tether
        Add one unknown per species: the stiffness of a spring to the atom's mean place in the batch.
    three_body
        Functions of triples of atoms, whose coefficients follow those of the pairs; None for pairs alone.

    Raises
    ------
    StructureError
        An unknown rule, a lag other than 0 or 1, or an interval or mobility that is not positive.
    """

    basis: PairBasis
    symbols: tuple[str, ...]
    interval: float
    rule: str = "trapezoid"
    lag: int = 0
    mobility: tuple[float, ...] | None = None
    tether: bool = False
    three_body: ThreeBodyBasis | None = None
    partial_type: ClassVar[type] = EquationSums

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise StructureError("rule of the force fit", self.rule, f"one of {', '.join(RULES)}")
        if self.lag not in (0, 1):
            raise StructureError("lag of the force fit", self.lag, "0 or 1")
        if not (np.isfinite(self.interval) and self.interval > 0):
            raise StructureError("interval between frames", self.interval, "a time above 0")
        if self.mobility is not None and (len(self.mobility) != len(self.symbols) or min(self.mobility) <= 0):
            raise StructureError("mobilities", self.mobility, f"one number above 0 for each of {self.symbols}")

    @property
    def reach(self) -> tuple[int, int]:
        """Snapshots needed before and after the one at which a displacement begins."""
        return self.lag, len(self.quadrature) - 1

    @property
    def n_unknowns(self) -> int:
        """Coefficients of all pairs, of all triples, then tethers."""
        n_species = len(self.symbols)
        return len(species_pairs(n_species)) * self.basis.n_columns + self.n_triple + self.tether * n_species

    @property
    def n_triple(self) -> int:
        """Coefficients of the triples."""
        return 0 if self.three_body is None else self.three_body.n_unknowns(len(self.symbols))

    def process(self, batch: Trajectory) -> EquationSums:
        """Sum over all intervals of one trajectory."""
        if batch.symbols != self.symbols:
            raise StructureError("species of the trajectory", batch.symbols, f"{self.symbols}, as in the fit")
        return _Pass(self, batch).sums()

    def merge(self, left: EquationSums, right: EquationSums) -> EquationSums:
        """Add."""
        return left + right

    def finish(self, partial: EquationSums) -> EquationSums:
        """Return the sums."""
        return partial

    def zero(self) -> EquationSums:
        """Sums over nothing."""
        n, n_species = self.n_unknowns, len(self.symbols)
        matrix, pairs = np.zeros((n, n)), np.zeros((len(species_pairs(n_species)), N_DISTANCE_BINS), np.int64)
        return EquationSums(matrix, matrix.copy(), np.zeros(n), 0.0, 0.0, 0.0, 0.0, 0.0, 0, pairs)

    @property
    def quadrature(self) -> tuple[float, ...]:
        """Weights of the force over the horizon."""
        return RULES[self.rule]

    def columns(self, species: int) -> np.ndarray:
        """Unknowns that the columns of an atom of one species belong to, with shape (width,), int64."""
        pairs, n_columns = species_pairs(len(self.symbols)), self.basis.n_columns
        rows = [pairs.index((min(species, b), max(species, b))) for b in range(len(self.symbols))]
        columns = [row * n_columns + np.arange(n_columns) for row in rows]
        end = len(pairs) * n_columns + self.n_triple
        tether = [np.array([end + species])] if self.tether else []
        return np.concatenate([*columns, np.arange(end - self.n_triple, end), *tether])


class _Pass:
    """One walk over a trajectory with a ring of matrices, one for each snapshot that an interval needs."""

    def __init__(self, equations: ForceEquations, batch: Trajectory) -> None:
        self.equations, self.batch, self.atoms = equations, batch, Alignment(batch)
        n_species = len(equations.symbols)
        n_extra = equations.n_triple + int(equations.tether)
        self.rows = DesignRows(equations.basis, n_species, self.atoms.n_slots, n_extra)
        self.scratch = self.rows.rows(self.rows.empty())
        self.mobility = np.array(equations.mobility or (1.0,) * n_species)
        self.mobility_by_row = self.atoms.per_row(self.mobility)
        self.mean_place_A = self.atoms.mean_place_A() if equations.tether else None
        width = self.rows.width
        self.blocks = [(np.zeros((width, width)), np.zeros((width, width)), np.zeros(width)) for _ in self.mobility]
        self.total = equations.zero()

    def sums(self) -> EquationSums:
        """Walk."""
        before, after = self.equations.reach
        # Euler's rule takes no force at the end of the interval.
        ahead = after if self.equations.quadrature[-1] else 0
        ring = [self.rows.empty() for _ in range(before + ahead + 1)]
        distances: list[np.ndarray] = [np.empty(0)] * len(ring)
        for index in range(len(self.batch) - (after - ahead)):
            distances[index % len(ring)] = self._fill(ring[index % len(ring)], index)
            start = index - ahead
            if start >= before and self.atoms.consecutive(start - before, start + after):
                self._interval(start, ring)
                self.total.distances[:] += _unordered(distances[start % len(ring)])
        return self._gathered()

    def _fill(self, memory: np.ndarray, index: int) -> np.ndarray:
        batch, rows = self.batch, self.batch.rows(index)
        distances = self.rows.fill(
            memory, batch.positions_A[rows], batch.species[rows], self.atoms.slot[rows], batch.box_A
        )
        if self.equations.three_body is not None:
            self._fill_triples(memory, rows)
        if self.mean_place_A is not None:
            pull_A = self.mean_place_A - self.atoms.position_A[index]
            if batch.box_A is not None:
                pull_A -= np.array(batch.box_A) * np.round(pull_A / np.array(batch.box_A))
            self.rows.rows(memory)[:, :, -1] = np.nan_to_num(pull_A)
        return distances

    def _fill_triples(self, memory: np.ndarray, rows: slice) -> None:
        batch, equations = self.batch, self.equations
        assert equations.three_body is not None  # noqa: S101 - asked by the caller
        forces = np.zeros((rows.stop - rows.start, 2, equations.n_triple), np.float32)
        equations.three_body.add_forces(
            forces, np.zeros(equations.n_triple), batch.positions_A[rows], batch.species[rows],
            len(equations.symbols), batch.box_A,
        )  # fmt: skip
        linked = self.atoms.slot[rows] < self.atoms.n_slots
        first = len(equations.symbols) * equations.basis.n_columns
        columns = slice(first, first + equations.n_triple)
        self.rows.rows(memory)[self.atoms.slot[rows][linked], :, columns] = forces[linked]

    def _interval(self, start: int, ring: list[np.ndarray]) -> None:
        """Add one interval to the sums."""
        equations, atoms, total = self.equations, self.atoms, self.total
        before, after = equations.reach
        used = slice(start - before, start + after + 1)
        # One test on the sum: NaN where an atom is missing from any snapshot.
        seen = np.isfinite(atoms.position_A[used, :, 0].sum(axis=0))
        weight = np.where(seen, atoms.weight[used].min(axis=0), 0.0)
        if not weight.any():
            return
        weight /= weight.sum()
        step_A = np.where(seen[:, None], atoms.step_A(start, start + after), 0.0)
        velocity = step_A / (after * equations.interval)
        instruments = self.rows.rows(ring[(start - before) % len(ring)])
        forces = [(q, self.rows.rows(ring[(start + k) % len(ring)])) for k, q in enumerate(equations.quadrature) if q]
        for block, sums in zip(atoms.blocks, self.blocks, strict=True):
            parts = [(q, force[block]) for q, force in forces]
            _add_products(instruments[block], parts, velocity[block], weight[block], self.scratch[block], *sums)
        one_A = step_A if after == 1 else np.where(seen[:, None], atoms.step_A(start, start + 1), 0.0)
        share = weight / self.mobility_by_row
        self.total = replace(
            total,
            power=total.power + float(np.einsum("i,ij,ij->", share, velocity, velocity)),
            step_power=total.step_power + float(np.einsum("i,ij,ij->", share, one_A, one_A)),
            weight=total.weight + 2.0,
            squared_weight=total.squared_weight + 2 * float(weight @ weight),
            noise_weight=total.noise_weight + 2 * float(share.sum()),
            n_intervals=total.n_intervals + 1,
        )

    def _gathered(self) -> EquationSums:
        """Blocks of the species, added to their places among the unknowns."""
        total = self.total
        for species, (gram, design, moment) in enumerate(self.blocks):
            columns = self.equations.columns(species)
            place = np.ix_(columns, columns)
            # A force on an atom of mobility μ moves it μ times as far, against noise of variance μ.
            total.gram[place] += self.mobility[species] * gram
            total.design[place] += self.mobility[species] * design
            total.moment[columns] += moment
        return total


def _unordered(distances: np.ndarray) -> np.ndarray:
    """Histograms by ordered pair of species, added up per unordered pair."""
    pairs = species_pairs(len(distances))
    return np.stack([distances[a, b] + (distances[b, a] if a != b else 0) for a, b in pairs])


def _add_products(
    instruments: np.ndarray,
    forces: list[tuple[float, np.ndarray]],
    velocity: np.ndarray,
    weight: np.ndarray,
    scratch: np.ndarray,
    gram: np.ndarray,
    design: np.ndarray,
    moment: np.ndarray,
) -> None:
    """Add ZᵀΘZ, ZᵀΘΣqA and ZᵀΘv of one species and interval; all arrays by atom, axis and column.

    `scratch` has the shape of `instruments` and is overwritten: new memory would cost as much as the products.
    """
    if len(weight) == 0:
        return
    width = instruments.shape[2]
    z = instruments.reshape(-1, width)
    velocity, weight = velocity.astype(z.dtype), weight.astype(z.dtype)
    if (weight == weight[0]).all():
        scale, weighted = float(weight[0]), z
        # numpy hands zᵀz to the symmetric product of the linear algebra library, at half the cost.
        square = scale * (z.T @ z)
    else:
        root = np.sqrt(weight)[:, None, None]
        np.multiply(instruments, root, out=scratch)
        scale, weighted = 1.0, scratch.reshape(-1, width)
        square = weighted.T @ weighted
        scratch *= root
    gram += square
    for q, force in forces:
        f = force.reshape(-1, width)
        same = f.__array_interface__["data"] == z.__array_interface__["data"]
        design += q * square if same else (q * scale) * (weighted.T @ f)
    moment += scale * (weighted.T @ velocity.reshape(-1))
