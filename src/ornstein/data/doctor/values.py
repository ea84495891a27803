"""Do the images use the range of bytes?"""

from __future__ import annotations

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import Images

LEAST = 64
"""Of 255: an image set with less contrast than this was probably scaled wrongly."""


def check(images: Images) -> Finding:
    """Smallest and largest value over an even choice of at most 4096 images."""
    part = images.x[:: -(-len(images) // 4096)]
    low, high = int(part.min()), int(part.max())
    if high <= 1:
        return error(
            "range",
            f"values are {low} to {high} of 0 to 255: all images are black",
            "they look like floats in [0, 1] cut to whole numbers; save the floats, or multiply by 255",
        )
    if high - low < LEAST:
        factor = f"multiply by {255 / high:.3g}" if low == 0 else "stretch them to 0 to 255"
        return warning(
            "range",
            f"values are {low} to {high} of 0 to 255: in [-1, 1] the data fill {2 * (high - low) / 255:.2f} of 2",
            f"{factor}, if that is not how the pictures look",
        )
    return ok("range", f"values are {low} to {high} of 0 to 255")
