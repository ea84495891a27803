"""What is done with pictures after they are written: an invisible mark if asked for, a signature if a key is configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ornstein.core.errors import CapabilityError
from ornstein.provenance.files import seal
from ornstein.provenance.manifest import Signer
from ornstein.provenance.marks import get_mark


def sealer(method: str | None, shape: tuple[int, ...]) -> Callable[[Sequence[Path]], None]:
    """A function of the files. All that can be wrong is found now, before the work whose results they are.

    Raises:
        UsageError: an unknown method, or one whose weights are missing; half a signing key.
        CapabilityError: pictures of that ``shape`` are too small to hold a mark.
    """
    mark = None if method is None else get_mark(method)
    signer = Signer.configured()
    if mark is not None and (len(shape) != 3 or not mark.fits(*shape[1:])):
        raise CapabilityError(
            f"--mark: samples of shape {tuple(shape)} cannot hold a {mark.name} mark, which needs pictures of at least "
            f"{mark.smallest} x {mark.smallest} pixels. Their settings are in the files without it"
        )

    def sealed(paths: Sequence[Path]) -> None:
        for path in paths:
            seal(path, mark, signer)

    return sealed
