"""Threads of the libraries that compute."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def one_thread() -> None:
    """Let each library use one thread; call it before any of them is imported.

    A sum over two threads differs from a sum over one in its last digits, and so would the atoms of a serial run from
    those of Dask workers, which have one thread. A run takes its speed from workers and ranks.
    """
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
