"""Memory that is freed and soon needed again: kept by the process, not handed back to the system.

The networks take and free tens of megabytes per frame. The GNU C library hands back what is free at the end of its
heap, and all of what is large; to get it again, page by page, took a seventh of the CPU time of decoding. Dask has
its workers hand back even more.
"""

from __future__ import annotations

_KEPT_BYTES, _LARGE_BYTES = 2**28, 2**25
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>

KEEPING_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(_LARGE_BYTES),
    # The heaps of further threads are handed back whatever the threshold: one heap for all.
    "MALLOC_ARENA_MAX": "1",
}
"""Environment variables for a process that is to keep its memory from its start."""


def keep_memory() -> None:
    """Let this process keep up to 256 MiB that it has freed; nothing happens without the GNU C library."""
    import ctypes

    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_MMAP_THRESHOLD, _LARGE_BYTES)
