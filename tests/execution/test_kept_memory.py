import ctypes
import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from hpcstem.execution.memory import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
for _ in range(3):  # what the first round takes, the others find
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [b"x" * (3 << 20) for _ in range(40)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no GNU C library")
def test_pages_that_were_freed_are_there_when_they_are_needed_again():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    handed_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS, way], env=environment))
        for way in ("handed back", "kept")
    )
    assert kept < 0.05 * handed_back
