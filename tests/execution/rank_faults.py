"""Ranks in trouble: `mpiexec -n N python rank_faults.py KIND`."""

import os
import signal
import sys
import threading

from behaviour import Join

from hpcstem.errors import ExecutionError
from hpcstem.execution import MPIExecutor


class Faulty(Join):
    def process(self, batch):
        if batch == 5 and sys.argv[1] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if batch == 5 and sys.argv[1] == "exits":
            sys.exit("leaving early")
        return threading.Lock() if sys.argv[1] == "unpicklable" else super().process(batch)


if __name__ == "__main__":
    with MPIExecutor() as executor:
        try:
            executor.run(Faulty(), range(6))
        except ExecutionError as error:
            print(f"every rank: {error}", flush=True)
        else:
            print("finished", flush=True)
