"""hpcstem: from STEM movies to atoms, defects, force fields and first-principles simulations."""

__version__ = "0.1.0"
