r"""Local Landau free energy from the distribution of a local order parameter.

Where P(η) is the distribution of the order parameter over the sites of an image, f(η) / kT = -ln P(η) up to a constant.
With f = Σ c_t φ_t(η), polynomials φ_t that the symmetry allows [1]_, P is an exponential family, whose coefficients of
greatest likelihood are those at which the mean of each φ_t is that of the sites: one maximum, found by Newton's
method. The integrals go over a box that holds all sites.

The sites of an image are not independent. Where their blocks are given, the errors are the sandwich of the blocks'
scatter between the inverse information, so a correlation within a block does not make them too small.

f is the effective free energy of one site among its neighbours, not a bulk energy without gradients, and errors of
position broaden P: they make wells shallower.

References
----------
.. [1] S. V. Kalinin, "AI and ML in microscopy: a material opportunity", Oak Ridge National Laboratory (2019), on the
   free energy functional of two-dimensional materials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from hpcstem.errors import StructureError

MARGIN = 1.25
"""Half side of the box of integration over the largest component of any site."""
SHORTEST_STEP = 1e-9
MOST_STEPS = 200


@dataclass(frozen=True)
class LandauPolynomial:
    """Terms of a free energy.

    Parameters
    ----------
    terms
        Name of each coefficient.
    degrees
        Degree of each term.
    features
        Takes η with shape (n, n_components), gives the terms with shape (n, n_terms).
    n_components
        Components of the order parameter.
    n_grid
        Points of integration per component.
    """

    terms: tuple[str, ...]
    degrees: tuple[int, ...]
    features: Callable[[np.ndarray], np.ndarray]
    n_components: int
    n_grid: int


def _one_component(eta: np.ndarray) -> np.ndarray:
    square = eta[:, 0] ** 2
    return np.column_stack([square, square**2, square**3])


def _monolayer(eta: np.ndarray) -> np.ndarray:
    e1, e2, e3 = eta.T
    perpendicular, cubic = e1**2 + e2**2, e1**2 - 3 * e2**2
    return np.column_stack(
        [
            perpendicular,
            e3**2,
            perpendicular**2,
            perpendicular * e3**2,
            e3**4,
            e1 * e3 * cubic,
            e1**2 * cubic**2,
            e2**2 * (3 * e1**2 - e2**2) ** 2,
            perpendicular**2 * e3**2,
            perpendicular * e3**4,
            e3**6,
        ]
    )


ONE_COMPONENT = LandauPolynomial(("alpha", "beta", "gamma"), (2, 4, 6), _one_component, 1, 2001)
"""f = α η² + β η⁴ + γ η⁶."""

MONOLAYER = LandauPolynomial(
    (
        "alpha_11",
        "alpha_33",
        "beta_11",
        "beta_13",
        "beta_33",
        "beta_15",
        "gamma_111",
        "gamma_222",
        "gamma_113",
        "gamma_133",
        "gamma_333",
    ),
    (2, 2, 4, 4, 4, 4, 6, 6, 6, 6, 6),
    _monolayer,
    3,
    45,
)
"""The local term of a layer with a doublet (η₁, η₂) and a singlet η₃, in which η⊥² = η₁² + η₂²:
α₁₁ η⊥² + α₃₃ η₃² + β₁₁ η⊥⁴ + β₁₃ η⊥² η₃² + β₃₃ η₃⁴ + β₁₅ η₁ η₃ (η₁² - 3 η₂²) + γ₁₁₁ η₁² (η₁² - 3 η₂²)²
+ γ₂₂₂ η₂² (3 η₁² - η₂²)² + γ₁₁₃ η⊥⁴ η₃² + γ₁₃₃ η⊥² η₃⁴ + γ₃₃₃ η₃⁶."""


@dataclass(frozen=True)
class LandauFit:
    """Coefficients of a local free energy over kT.

    Parameters
    ----------
    polynomial
        Its terms.
    coefficients
        In units of 1 over the unit of η to the degree of the term, with shape (n_terms,), float64.
    covariance
        With shape (n_terms, n_terms), float64.
    bounded
        Whether the terms of the highest degree are positive in every direction, so that f rises without limit; where
        not, the coefficients hold within the box only.
    reach
        Half side of the box, in the unit of η.
    n_groups
        Independent groups behind the errors.
    """

    polynomial: LandauPolynomial
    coefficients: np.ndarray
    covariance: np.ndarray
    bounded: bool
    reach: float
    n_groups: int

    @property
    def sigma(self) -> np.ndarray:
        """Standard errors, with shape (n_terms,), float64."""
        return np.sqrt(np.diag(self.covariance))

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Lower and upper end of each coefficient's interval, with shape (n_terms, 2), float64."""
        half = t.ppf((1 + level) / 2, self.n_groups - 1) * self.sigma
        return np.column_stack([self.coefficients - half, self.coefficients + half])

    def density(self, component: int) -> tuple[np.ndarray, np.ndarray]:
        """Fitted distribution of one component, the others left free: its values, and the density there."""
        grid = _grid(self.polynomial)
        unit = self.reach ** np.array(self.polynomial.degrees, np.float64)
        density = _density(self.polynomial.features(grid), self.coefficients * unit)
        values = np.linspace(-self.reach, self.reach, self.polynomial.n_grid)
        shape = (self.polynomial.n_grid,) * self.polynomial.n_components
        others = tuple(axis for axis in range(self.polynomial.n_components) if axis != component)
        return values, density.reshape(shape).sum(axis=others) / (values[1] - values[0])

    def energy(self, eta: np.ndarray) -> np.ndarray:
        """f(η) / kT, zero at η = 0, with shape (n,), float64, for `eta` with shape (n, n_components)."""
        return self.polynomial.features(np.asarray(eta, np.float64)) @ self.coefficients


def fit_landau(eta: np.ndarray, polynomial: LandauPolynomial, groups: np.ndarray | None = None) -> LandauFit:
    """Fit a local free energy to the order parameter of many sites.

    Parameters
    ----------
    eta
        Order parameter, with shape (n_sites, n_components), float.
    polynomial
        Terms of the free energy.
    groups
        Number of the block that a site is in, with shape (n_sites,), integer; None where sites are independent.

    Raises
    ------
    StructureError
        Another shape, values that are not finite, fewer sites or blocks than 2 plus the terms, or sites that do not
        determine the coefficients.
    """
    eta = _checked(eta, polynomial)
    n_terms = len(polynomial.terms)
    groups = np.arange(len(eta)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if groups.shape != (len(eta),) or groups.max() + 1 < n_terms + 2:
        raise StructureError("blocks of sites", int(groups.max()) + 1, f"one per site, {n_terms + 2} or more")
    reach = MARGIN * float(np.abs(eta).max())
    # In units of the box all terms are of order one.
    seen = polynomial.features(eta / reach)
    grid = _grid(polynomial)
    features = polynomial.features(grid)
    coefficients, mean, information = _likeliest(features, seen.mean(axis=0))
    scores = np.zeros((groups.max() + 1, n_terms))
    np.add.at(scores, groups, mean - seen)
    inverse = np.linalg.inv(information * len(eta))
    n_groups = len(scores)
    covariance = inverse @ (scores.T @ scores) @ inverse * n_groups / (n_groups - 1)
    unit = reach ** -np.array(polynomial.degrees, np.float64)
    highest = np.array(polynomial.degrees) == max(polynomial.degrees)
    sides = np.abs(grid).max(axis=1) == 1.0
    return LandauFit(
        polynomial,
        coefficients * unit,
        covariance * np.outer(unit, unit),
        bool((features[sides][:, highest] @ coefficients[highest] > 0).all()),
        reach,
        n_groups,
    )


def _checked(eta: np.ndarray, polynomial: LandauPolynomial) -> np.ndarray:
    eta = np.asarray(eta, np.float64)
    if eta.ndim != 2 or eta.shape[1] != polynomial.n_components or not np.isfinite(eta).all() or not eta.any():
        raise StructureError(
            "order parameter of sites", f"shape {eta.shape}", f"finite values, (n_sites, {polynomial.n_components})"
        )
    return eta


def _grid(polynomial: LandauPolynomial) -> np.ndarray:
    """Points of integration over the box from -1 to 1, with shape (n_points, n_components)."""
    axis = np.linspace(-1.0, 1.0, polynomial.n_grid)
    grid = np.stack(np.meshgrid(*[axis] * polynomial.n_components, indexing="ij"), axis=-1)
    return grid.reshape(-1, polynomial.n_components)


def _density(features: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    exponents = -features @ coefficients
    density = np.exp(exponents - exponents.max())
    return density / density.sum()


def _likeliest(features: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients at which the mean features are as wanted; those means and their covariance per site."""
    coefficients = np.zeros(features.shape[1])
    for _ in range(MOST_STEPS):
        density = _density(features, coefficients)
        mean = density @ features
        centred = features - mean
        information = (centred * density[:, None]).T @ centred
        try:
            step = np.linalg.solve(information, mean - wanted)
        except np.linalg.LinAlgError:
            break
        # A damped Newton step: the decrement bounds the change of the likelihood.
        decrement = float(np.sqrt(max(step @ (mean - wanted), 0.0)))
        coefficients = coefficients + step / (1.0 + decrement if decrement > 0.25 else 1.0)
        if decrement < SHORTEST_STEP:
            return coefficients, mean, information
    raise StructureError(
        "fit of a free energy", "order parameters that do not determine it", "more sites, or fewer terms"
    )
