"""What serving may answer besides a result."""

from __future__ import annotations

from ornstein.core.errors import OrnsteinError, UsageError


class UnknownModel(UsageError):
    """No model of that name is served."""


class QueueFull(OrnsteinError):
    """Too much is waiting; ``retry_after`` seconds from now it may not be."""

    def __init__(self, limit: int, retry_after: float):
        super().__init__(
            f"{limit} samples are waiting already, the most that are kept; try again in {retry_after:.0f} s"
        )
        self.retry_after = retry_after


class EngineClosed(OrnsteinError):
    """The engine is closing and takes no more requests."""


class JobCancelled(OrnsteinError):
    """The job was cancelled before it was done."""


class DeadlinePassed(OrnsteinError):
    """The job was not done by its deadline."""


class Refused(OrnsteinError):
    """A hook does not allow the request or its result; the message is for whoever asked."""


class Defect(OrnsteinError):
    """Something broke that is not the request's fault; its cause is the exception itself."""
