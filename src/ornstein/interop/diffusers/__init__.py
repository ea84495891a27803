"""Checkpoint folders of the diffusers ecosystem: what their files say, in this library's words."""

from ornstein.interop.diffusers.schedulers import Scheduler, scheduler

__all__ = ["Scheduler", "scheduler"]
