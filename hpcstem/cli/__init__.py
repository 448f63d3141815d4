"""The command `hpcstem`."""

from hpcstem.cli.main import main

__all__ = ["main"]
