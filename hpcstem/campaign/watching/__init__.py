"""A folder that a microscope writes to: each frame decoded as its file closes, with a running report."""

from hpcstem.campaign.watching.conduct import WatchSettings, WatchSummary, watch

__all__ = ["WatchSettings", "WatchSummary", "watch"]
