r"""Whether the motion identifies pair forces at all, from what the past predicts.

Localisation noise alone makes each displacement depend on the position that it starts from, which a fit takes for
a force. It cannot make the displacement from t to t+1 depend on the snapshot at t-1. Nor can sites that hold
each atom on its own make it depend on where the neighbours are. So v_t is predicted from the snapshot before,
once from a spring to each atom's mean place alone and once with the pair forces added; the gain of the second,
on blocks of the trajectory that were held out, is the verdict. It is the test of Anderson and Rubin [1]_, which
holds however weak the instruments are, with cross-validation in the place of the distribution of F.

References
----------
.. [1] T. W. Anderson and H. Rubin, Ann. Math. Stat. 20, 46 (1949), https://doi.org/10.1214/aoms/1177730090
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag
from scipy.stats import norm
from scipy.stats import t as student_t

from hpcstem.errors import StructureError
from hpcstem.potentials.bases import PairBasis
from hpcstem.potentials.equations import EquationSums, ForceEquations
from hpcstem.potentials.likelihood import Likelihood, whitening
from hpcstem.potentials.pairs import species_pairs
from hpcstem.potentials.prior import pair_prior, posterior
from hpcstem.potentials.streaming import Blocks

_SURE = 3.0
"""Standard errors by which the gain of many blocks has to exceed zero; of few, more at the same chance of error."""
_LEAST_GAIN = 1e-6
"""Share of the motion below which a gain is no more than rounding."""
_STRONG = 10.0
"""First-stage F below which instruments count as weak (Staiger and Stock, Econometrica 65, 557 (1997))."""


@dataclass(frozen=True)
class Verdict:
    """Whether pair forces can be told from noise and from sites, and which.

    Parameters
    ----------
    pairs
        Chemical symbols of each entry of `pair_gain` and `first_stage`.
    gain
        Share of the variance of the motion that pair forces predict beyond springs, on held-out blocks.
    gain_error
        Its standard error over blocks.
    pair_gain, pair_gain_error
        The same for each species pair beyond the springs and the other pairs, with shape (n_pairs,), float64.
    tether_share
        Share that springs alone predict, on held-out blocks.
    first_stage
        Weak-instrument statistic of each pair: F of the fitted forces on the basis one snapshot before, with
        shape (n_pairs,), float64.
    n_directions
        Directions of the coefficients that the data see, of `n_unknowns`.
    n_unknowns
        Number of coefficients.
    n_blocks
        Blocks over which the standard errors are.
    """

    pairs: tuple[tuple[str, str], ...]
    gain: float
    gain_error: float
    pair_gain: np.ndarray
    pair_gain_error: np.ndarray
    tether_share: float
    first_stage: np.ndarray
    n_directions: int
    n_unknowns: int
    n_blocks: int

    @property
    def identifiable(self) -> bool:
        """Whether any pair force is identified."""
        return self._exceeds_chance(self.gain, self.gain_error)

    @property
    def pair_identifiable(self) -> tuple[bool, ...]:
        """Whether each species pair's force is identified."""
        gains = zip(self.pair_gain.tolist(), self.pair_gain_error.tolist(), strict=True)
        return tuple(self.identifiable and self._exceeds_chance(gain, error) for gain, error in gains)

    def _exceeds_chance(self, gain: float, error: float) -> bool:
        sure = student_t.ppf(norm.cdf(_SURE), self.n_blocks - 1)
        return bool(gain > max(sure * error, _LEAST_GAIN))

    def sentences(self) -> list[str]:
        """Say it plainly, one line each."""
        gain = f"{_percent(self.gain, self.gain_error)} of the motion on held-out blocks"
        if not self.identifiable:
            return [
                f"not identifiable: beyond a spring to each atom's mean place, pair forces predict {gain}",
                f"springs alone predict {self.tether_share:.2%}: noise of the positions, or sites that hold each atom",
            ]
        lines = [f"identifiable: beyond springs, pair forces predict {gain}"]
        for pair, known, part, error in zip(
            self.pairs, self.pair_identifiable, self.pair_gain, self.pair_gain_error, strict=True
        ):
            lines.append(f"{'-'.join(pair)}: {'' if known else 'not '}identifiable ({_percent(part, error)})")
        for pair, f in zip(self.pairs, self.first_stage, strict=True):
            if f < _STRONG:
                lines.append(f"{'-'.join(pair)}: weak instruments at lag 1 (F = {f:.1f}, wanted {_STRONG:g})")
        return lines


def _percent(value: float, error: float) -> str:
    """Value and error in per cent, to two digits of the error and at most to a millionth of the whole."""
    digits = min(max(0, 1 - math.floor(math.log10(100 * error))), 4) if 0 < error < np.inf else 2
    return f"{100 * value:.{digits}f} ± {100 * error:.{digits}f} %"


def past_equations(
    basis: PairBasis, symbols: tuple[str, ...], interval: float, mobility: tuple[float, ...] | None
) -> ForceEquations:
    """Analysis whose sums the verdict is made from: motion against the snapshot before, with springs."""
    return ForceEquations(basis, symbols, interval, "euler", 1, mobility, tether=True)


def verdict(blocks: Blocks[EquationSums, EquationSums], equations: ForceEquations, coefficients: np.ndarray) -> Verdict:
    """Judge from the sums of `past_equations`.

    Parameters
    ----------
    blocks
        Those sums.
    equations
        The analysis that made them.
    coefficients
        Of the fit, whose forces the first stage is about, with shape (n_pairs, n_columns).

    Raises
    ------
    StructureError
        Fewer than two blocks with intervals in them.
    """
    parts = [part for part in blocks.parts if part.n_intervals]
    if len(parts) < 2:
        raise StructureError("blocks with motion", len(parts), "at least 2, from at least 4 frames")
    pairs = species_pairs(len(equations.symbols))
    n = equations.basis.n_columns
    n_forces = len(pairs) * n
    penalty = _penalty(blocks.total, equations, n_forces)
    forces, springs = np.arange(n_forces), np.arange(n_forces, equations.n_unknowns)
    everything = np.concatenate([forces, springs])
    full = _held_out(blocks.total, parts, everything, penalty)
    tether = _held_out(blocks.total, parts, springs, penalty)
    gain, gain_error = _mean(full - tether)
    per_pair = []
    for k in range(len(pairs)):
        others = np.setdiff1d(everything, np.arange(k * n, (k + 1) * n))
        per_pair.append(_mean(full - _held_out(blocks.total, parts, others, penalty)))
    first_stage = [_first_stage(blocks.total, slice(k * n, (k + 1) * n), coefficients[k]) for k in range(len(pairs))]
    seen = whitening(blocks.total.gram[:n_forces, :n_forces]).shape[1]
    return Verdict(
        pairs=tuple((equations.symbols[a], equations.symbols[b]) for a, b in pairs),
        gain=gain,
        gain_error=gain_error,
        pair_gain=np.array([mean for mean, _ in per_pair]),
        pair_gain_error=np.array([error for _, error in per_pair]),
        tether_share=float(np.mean(tether)),
        first_stage=np.array(first_stage),
        n_directions=seen,
        n_unknowns=n_forces,
        n_blocks=len(parts),
    )


def _penalty(total: EquationSums, equations: ForceEquations, n_forces: int) -> np.ndarray:
    """Prior of the reduced form by evidence; none on the springs, which are projected out first."""
    f, s = slice(0, n_forces), slice(n_forces, None)
    gram, moment = total.gram, total.moment
    springs = np.linalg.pinv(gram[s, s])
    projected = EquationSums(
        gram[f, f] - gram[f, s] @ springs @ gram[s, f],
        gram[f, f] - gram[f, s] @ springs @ gram[s, f],
        moment[f] - gram[f, s] @ springs @ moment[s],
        total.power - float(moment[s] @ springs @ moment[s]),
        total.step_power,
        total.weight,
        total.squared_weight,
        total.noise_weight,
        total.n_intervals,
        total.distances,
    )
    likelihood = Likelihood.of(projected)
    n_pairs = n_forces // equations.basis.n_columns
    penalty = posterior(likelihood, [pair_prior(equations.basis, n_pairs)]).penalty
    n_springs = len(gram) - n_forces
    # In units of the Gram matrix.
    return block_diag(likelihood.noise * penalty, np.zeros((n_springs, n_springs)))


def _held_out(total: EquationSums, parts: list[EquationSums], kept: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Share of the motion of each block that a fit to the others predicts, with shape (n_blocks,)."""
    place = np.ix_(kept, kept)
    shares = []
    for part in parts:
        gram = (total.gram - part.gram)[place] + penalty[place] * (1 - part.weight / total.weight)
        ridge = 1e-10 * np.diag(np.maximum(np.diag(gram), 1e-300))
        estimate = np.linalg.solve(gram + ridge, (total.moment - part.moment)[kept])
        explained = 2 * part.moment[kept] @ estimate - estimate @ part.gram[place] @ estimate
        shares.append(explained / part.power)
    return np.array(shares)


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _first_stage(total: EquationSums, own: slice, coefficients: np.ndarray) -> float:
    """F of the fitted force of one pair on the basis of that pair one snapshot before."""
    whitener = whitening(total.gram[own, own])
    power = float(coefficients @ total.gram[own, own] @ coefficients)
    if whitener.shape[1] == 0 or power <= 0:
        return 0.0
    predicted = whitener.T @ (total.design[own, own] @ coefficients)
    share = float(np.clip(predicted @ predicted / power, 0.0, 1 - 1e-12))
    n_values = total.weight**2 / total.squared_weight
    return share / (1 - share) * n_values / whitener.shape[1]
