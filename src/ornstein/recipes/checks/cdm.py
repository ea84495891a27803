r"""CDM's trade-off in closed form: pairs (z, x) of two modes, a first stage that errs, and the exact second stage told z_s.

The second stage knows p(x | z_s), z_s = z_0 + s n for true z_0; it is told z_0 + e + s n, e the first stage's error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.recipes.check import Check, Condition

DRAWS = 200_000
VAR, COV, ERROR = 0.0025, 0.0024, 0.3
LEVELS = (0.0, 0.1, 0.3, 1.0)


def second_stage(told: Tensor, level: float, rng: Stream) -> Tensor:
    """A draw of p(x | z_s): the mode k = 1, -1 by its likelihood, then the Gaussian of that mode."""
    spread = VAR + level**2
    first = torch.sigmoid(2 * told / spread)  # log N(z; 1) - log N(z; -1) = 2 z / spread
    k = torch.where(rng.uniform_like(told) < first, 1.0, -1.0).double()
    mean, var = k + COV / spread * (told - k), VAR - COV**2 / spread
    return mean + var**0.5 * rng.normal_like(told)


def measure(seed: int) -> dict[str, float]:
    """Deviation of x about its mode (0.05 in truth), and the share of x in another mode than z, by the level."""
    rng = Stream(seed)
    k = torch.where(rng.uniform((DRAWS,), dtype=torch.float64) < 0.5, 1.0, -1.0).double()
    z = k + VAR**0.5 * rng.normal((DRAWS,), dtype=torch.float64)
    wrong = z + ERROR * rng.normal((DRAWS,), dtype=torch.float64)
    found = {}
    for level in LEVELS:
        x = second_stage(wrong + level * rng.normal((DRAWS,), dtype=torch.float64), level, rng)
        found[f"deviation_error_{level:g}"] = abs(float((x - x.sign()).std()) - VAR**0.5)
        found[f"flips_{level:g}"] = float((x.sign() != k).double().mean())
    return found


CHECK = Check(
    recipe="cdm",
    paper="ImageNet without guidance: FID 1.48, 3.52 and 4.88 at 64, 128 and 256 pixels, where the base at 32 and larger single "
    "models are worse; conditioning augmentation is what makes the cascade work",
    claim="with exact stages on pairs of two modes and a first stage that errs by 0.3, noise of level 0.3 on what the second "
    "stage is told removes nine tenths of the error of its spread, and more noise makes it follow the first stage less",
    conditions=(
        Condition("deviation_error_0.1", "<", "deviation_error_0", "some noise is better than none"),
        Condition("deviation_error_0.3", "<", "deviation_error_0", "nine tenths of the error are forgiven", 0.1),
        Condition("flips_0.3", ">", "flips_0", "the price: what the first stage drew is followed less"),
        Condition("flips_1", ">", "flips_0.3", "and the less, the more noise: at 1 the modes overlap", 2.0),
    ),
    measure=measure,
)
