"""Serve one database folder until told to stop: `python -m hpcstem.simulation.database --folder F`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpcstem.errors import HpcstemError
from hpcstem.simulation.database.server import serve


def main() -> int:
    """Serve; return 0 after a stop that was asked for, or an error's exit status."""
    parser = argparse.ArgumentParser(description="Serve an embedded job database on a Unix socket.")
    parser.add_argument("--folder", type=Path, required=True, help="folder that holds the database")
    parser.add_argument("--idle-s", type=float, help="end when nobody has been connected for so long")
    arguments = parser.parse_args()
    try:
        serve(arguments.folder, arguments.idle_s)
    except HpcstemError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
