"""Decoded atoms with their uncertainty: the ground floor of every science package."""

from hpcstem.atoms.table import NO_TRACK, AtomTable, read_metadata

__all__ = ["NO_TRACK", "AtomTable", "read_metadata"]
