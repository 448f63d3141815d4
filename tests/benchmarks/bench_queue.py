"""Jobs per second of the queue under kills, and adding and counting of many: `python tests/benchmarks/bench_queue.py`.

Four launchers with one worker each run 1,000 relaxations of H2 of one step on an embedded database, while launchers
and the database are killed at random; then 10,000 jobs are added and counted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from queue_crew import Crew, add_small_jobs

from hpcstem.simulation.database import stop_database
from hpcstem.simulation.launcher import launch
from hpcstem.simulation.launchpad import open_launchpad
from hpcstem.simulation.place import create_place
from hpcstem.simulation.queue import queue_counts, queue_status
from hpcstem.simulation.results import results
from hpcstem.simulation.summary import by_axis, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--many", type=int, default=10_000)
    arguments = parser.parse_args()
    random = Random(1)
    with tempfile.TemporaryDirectory(prefix="bench-queue-") as folder:
        queue = Path(folder) / "q"
        create_place(queue)
        launchpad = open_launchpad(queue / "database")
        try:
            keys = add_small_jobs(launchpad, 0, arguments.jobs)
            crew = Crew(queue, 4, random)
            marks = sorted(random.sample(range(arguments.jobs // 10, arguments.jobs * 9 // 10), arguments.kills))
            start = time.monotonic()
            n_done, victims = 0, []
            while n_done < len(keys):
                crew.fill()
                if marks and n_done > marks[0]:
                    marks.pop(0)
                    victims.append(random.choice(["launcher", "launcher", "database"]))
                    crew.kill_database() if victims[-1] == "database" else crew.kill_one()
                time.sleep(0.5)
                n_done = queue_counts(launchpad).get("COMPLETED", 0)
            took_s = time.monotonic() - start
            crew.wait()
            status = launch(launchpad, queue, workers=1)
            launches = list(launchpad.launches.find({}, {"fw_id": 1, "state": 1}))
            completed = [one["fw_id"] for one in launches if one["state"] == "COMPLETED"]
            print(f"{len(keys)} jobs in {took_s:.1f} s: {len(keys) / took_s:.1f} per second; killed: {victims}")
            print(f"states {dict(status.counts)}; {len(launches)} launches, {len(completed)} completed, ", end="")
            print(f"{len(set(completed))} different; {len(results(launchpad))} results")
            start = time.monotonic()
            add_small_jobs(launchpad, len(keys), arguments.many)
            print(f"{arguments.many} jobs added in {time.monotonic() - start:.1f} s")
            start = time.monotonic()
            found = queue_status(launchpad)
            by_axis(found.jobs)
            failures(found.jobs)
            print(f"status of {len(found.jobs)} jobs in {time.monotonic() - start:.2f} s")
        finally:
            stop_database(queue / "database")


if __name__ == "__main__":
    main()
