"""The small campaign, and ways to run the command line."""

from small_run import copied_run, finished_run, run_here, without_privileges  # noqa: F401
