"""Checkpoint folders of the diffusers ecosystem: read into this library's words."""

from ornstein.interop.diffusers.folder import is_folder, resembles
from ornstein.interop.diffusers.loading import load
from ornstein.interop.diffusers.saving import save
from ornstein.interop.diffusers.schedulers import Plan, Scheduler, scheduler
from ornstein.interop.diffusers.system import Pipeline

__all__ = ["Pipeline", "Plan", "Scheduler", "is_folder", "load", "resembles", "save", "scheduler"]
