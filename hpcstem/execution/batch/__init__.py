"""Batch jobs: scripts from templates, and the batch systems that they are handed to."""

from hpcstem.execution.batch.job import BatchJob, JobKind
from hpcstem.execution.batch.script import render_script
from hpcstem.execution.batch.system import BatchSystem, batch_system

__all__ = ["BatchJob", "BatchSystem", "JobKind", "batch_system", "render_script"]
