"""What a server allows."""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.core.errors import UsageError
from ornstein.serving.request import Request


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for; what is beyond is refused before any work.

    Raises:
        UsageError: a limit below 1.
    """

    samples: int = 64
    """in one request"""
    steps: int = 1000
    pixels: int = 2**25
    """of all pictures of one request together, and of an uploaded one"""
    body: int = 20 * 2**20
    """bytes of a request"""
    text: int = 4000
    """characters of a prompt or any other word"""
    seconds: float = 300.0
    """from the request to its result"""
    body_seconds: float = 30.0
    """from the first byte of a request to its last"""
    rate: float | None = None
    """requests per minute of one client; None is no limit"""
    connections: int = 512
    """at the same time"""

    def __post_init__(self) -> None:
        for name in ("samples", "steps", "pixels", "body", "text", "connections"):
            if getattr(self, name) < 1:
                raise UsageError(f"the limit of {name} must be at least 1, got {getattr(self, name)}")
        if not (self.seconds > 0 and self.body_seconds > 0 and (self.rate is None or self.rate > 0)):
            raise UsageError("limits of time and rate must be above 0")

    def check(self, request: Request, pixels: int | None) -> None:
        """Refuse what asks for too much; ``pixels`` are those of one sample, where they are known.

        Raises:
            UsageError: with the limit that it exceeds.
        """
        if request.n > self.samples:
            raise UsageError(f"n = {request.n} is above this server's limit of {self.samples}")
        if request.steps is not None and request.steps > self.steps:
            raise UsageError(f"steps = {request.steps} is above this server's limit of {self.steps}")
        if pixels is not None and request.n * pixels > self.pixels:
            raise UsageError(
                f"{request.n} pictures of {pixels} pixels are above this server's limit of {self.pixels}: ask for fewer"
            )
