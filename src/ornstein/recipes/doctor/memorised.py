"""Are the samples copies of training images?"""

from __future__ import annotations

import numpy as np
import torch

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.doctor.duplicates import first_of_each
from ornstein.evaluation.copies import copies
from ornstein.recipes.doctor.case import Case

NAME = "memorisation"
SAMPLES, STEPS = 32, 12
MOST = 50_000
"""Training images that are compared with; of more, an even choice."""


def check(case: Case, samples: int = SAMPLES) -> Finding:
    """Draw some samples; count those much nearer to one training image than to any other."""
    once = np.unique(first_of_each(case.images))  # the second nearest of a duplicate would be as near as the first
    once = once[:: -(-len(once) // MOST)]
    if len(once) < 2:
        return error(NAME, "there is one training image", "add images")
    training = torch.from_numpy(case.images.x[once]).float() / 127.5 - 1
    drawn = case.system.sample(samples, seed=0, steps=STEPS).tensor.cpu()
    found = copies(drawn.flatten(1), training.flatten(1))
    count = int(found.memorised.sum())
    if not count:
        return ok(NAME, f"none of {samples} samples is a copy of one of {len(once)} training images")
    which = torch.nonzero(found.memorised)[:3, 0].tolist()
    pairs = ", ".join(f"seed {i} = image {once[int(found.index[i])]}" for i in which) + (", ..." if count > 3 else "")
    what = f"{count} of {samples} samples are copies of training images ({pairs})"
    remedy = "add images or augmentation (flip=true), remove duplicates, train for less, or take a smaller network"
    return (error if count > samples // 2 else warning)(NAME, what, remedy)
