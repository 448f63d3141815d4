"""One self-contained HTML page of a run, and the figures in it."""

from hpcstem.report.build import build_report

__all__ = ["build_report"]
