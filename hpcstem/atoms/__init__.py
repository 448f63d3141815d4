"""Decoded atoms with their uncertainty: the ground floor of every science package."""

from hpcstem.atoms.table import NO_TRACK, AtomTable

__all__ = ["NO_TRACK", "AtomTable"]
