"""Checkpoint folders of the diffusers ecosystem: read into this library's words."""

from ornstein.interop.diffusers.pipelines.folder import is_folder, resembles
from ornstein.interop.diffusers.pipelines.loading import load
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.saving.folders import save
from ornstein.interop.diffusers.schedulers.classes import Plan, Scheduler, scheduler

__all__ = ["Pipeline", "Plan", "Scheduler", "is_folder", "load", "resembles", "save", "scheduler"]
