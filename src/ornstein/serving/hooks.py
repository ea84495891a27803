"""Where other rooms see what is asked for and change what is served: marks, filters, audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ornstein.serving.request import Request


@dataclass(frozen=True)
class Served:
    """One picture on its way out."""

    image: Image.Image
    about: dict[str, Any]
    """its provenance: recipe, weights, seed, sampler, conditions; goes into the file"""
    finish: Callable[[bytes, str], bytes] | None = None
    """what becomes of the encoded file (its content; png, jpeg or webp) at the very end, such as a signature"""


class Hook:
    """What is done before a request is taken and before each picture leaves. Both do nothing unless overridden.

    Hooks run in the order in which they are given, in the threads of the server: they keep no state without a lock. The
    engine itself, used from Python, has none.
    """

    def before(self, request: Request, client: str) -> None:
        """See a request before it is put in line; ``client`` is the name of its key, or "".

        Raises:
            Refused: it is not allowed; the message is told to who asked.
        """

    def after(self, request: Request, served: Served, client: str) -> Served:
        """See a picture before it is encoded; what is returned takes its place. Previews pass here as well.

        Raises:
            Refused: it must not leave.
        """
        return served


def before(hooks: Sequence[Hook], request: Request, client: str) -> None:
    """All hooks on a request."""
    for hook in hooks:
        hook.before(request, client)


def after(hooks: Sequence[Hook], request: Request, served: Served, client: str) -> Served:
    """All hooks on a picture."""
    for hook in hooks:
        served = hook.after(request, served, client)
    return served
