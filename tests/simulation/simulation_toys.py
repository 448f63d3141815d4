"""A force source that is quick, anharmonic, and remembers its last call as a wave function is remembered."""

import numpy as np
from ase import Atoms


class Springs:
    """Quartic springs to given sites, with a small error that depends on the previous call."""

    def __init__(self, sites: np.ndarray, stop_after: int | None = None) -> None:
        self.sites = sites
        self.stop_after = stop_after
        self.n_calls = 0
        self.memory = 0.0

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        if self.n_calls == self.stop_after:
            raise KeyboardInterrupt
        self.n_calls += 1
        apart = positions - self.sites
        forces = -10 * apart - 20 * apart**3 + 1e-7 * self.memory
        self.memory = float(np.sin(positions).sum())
        return float((5 * apart**2 + 5 * apart**4).sum()), forces

    def forget(self) -> None:
        self.memory = 0.0


def cluster(n_atoms: int = 8, seed: int = 0) -> Atoms:
    """Carbon atoms near the corners of a cube."""
    rng = np.random.default_rng(seed)
    sites = np.array([[x, y, z] for x in (0, 1.5) for y in (0, 1.5) for z in (0, 1.5)])[:n_atoms]
    return Atoms("C" * n_atoms, sites + rng.normal(0, 0.1, sites.shape))
