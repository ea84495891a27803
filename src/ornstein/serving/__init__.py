"""Serving: an engine that runs many requests together, step by step, and an HTTP server on it."""

from ornstein.serving.engine import Engine as Engine
from ornstein.serving.engine import Stats as Stats
from ornstein.serving.errors import DeadlinePassed as DeadlinePassed
from ornstein.serving.errors import Defect as Defect
from ornstein.serving.errors import EngineClosed as EngineClosed
from ornstein.serving.errors import JobCancelled as JobCancelled
from ornstein.serving.errors import QueueFull as QueueFull
from ornstein.serving.errors import Refused as Refused
from ornstein.serving.errors import UnknownModel as UnknownModel
from ornstein.serving.hooks import Hook as Hook
from ornstein.serving.hooks import Served as Served
from ornstein.serving.job import Event as Event
from ornstein.serving.job import Job as Job
from ornstein.serving.job import Status as Status
from ornstein.serving.models import Loader as Loader
from ornstein.serving.models import loader as loader
from ornstein.serving.request import LARGEST_SEED as LARGEST_SEED
from ornstein.serving.request import Request as Request
from ornstein.serving.request import Task as Task
