"""Run the held analysis on the nodes of the batch job that this program runs in: SITE FOLDER BATCHES."""

import json
import sys
from pathlib import Path

from held_job import Held

from hpcstem.errors import HpcstemError
from hpcstem.execution import load_site, make_executor

if __name__ == "__main__":
    site, folder, n_batches = load_site(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    try:
        with make_executor(site) as executor:
            nodes = executor.run(Held(folder), range(n_batches))
        answer = {"nodes": sorted(set(nodes.values())), "batches": sorted(nodes)}
    except HpcstemError as error:
        answer = {"error": str(error)}
    (folder / "answer.json").write_text(json.dumps(answer))
