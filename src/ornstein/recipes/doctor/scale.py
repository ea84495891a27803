"""Do the data have the scale that the denoiser expects?"""

from __future__ import annotations

import torch

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.core.rng import Stream
from ornstein.recipes.doctor.case import Case

NAME = "scale of the data"
FAR, NEAR = 2.0, 1.25
SLACK = 1.05


def check(case: Case) -> Finding:
    """Standard deviation of the encoded data against sigma_data; where there is none, their range against [-1, 1]."""
    images = case.images
    batch = images[torch.arange(0, len(images), -(-len(images) // 512))]
    with torch.no_grad():
        x = case.system.codec.encode(batch.x, Stream(0), batch.cond)
    wanted = getattr(case.system.config, "sigma_data", None)
    std = float(x.std())
    if wanted is None:
        low, high = float(x.min()), float(x.max())
        if max(-low, high) > SLACK:
            return error(
                NAME,
                f"encoded data run from {low:.3g} to {high:.3g}, not from -1 to 1",
                "give images as bytes, or floats in [0, 1] or [-1, 1]",
            )
        return ok(NAME, f"encoded data run from {low:.3g} to {high:.3g}")
    off = max(std / wanted, wanted / max(std, 1e-12))
    text = f"encoded data have the standard deviation {std:.3g}, sigma_data is {wanted:.3g}"
    remedy = (
        f"set data_std to the images' own, {std * getattr(case.system.config, 'data_std', wanted) / wanted:.3g}, and train "
        "anew: the preconditioning and the noise levels that are trained depend on it"
    )
    if off > FAR:
        return error(NAME, f"{text}: {off:.1f} times off", remedy)
    if off > NEAR:
        return warning(NAME, f"{text}: {off:.2f} times off", remedy)
    return ok(NAME, text)
