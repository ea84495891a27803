"""Conditions: missing rows are said per sample."""

from __future__ import annotations

import pytest
import torch

from ornstein.core import cond as conditions
from ornstein.core.batch import Batch

COND = {
    "label": torch.tensor([3, 0, 2]),
    "text": torch.ones(3, 4, 2),
    "text_mask": torch.ones(3, 4, dtype=torch.bool),
    "image": torch.zeros(3, 1, 2, 2),
}


def test_null_is_missing_everywhere_and_keeps_shapes() -> None:
    null = conditions.null(COND)
    assert null.keys() == COND.keys()
    for name, value in null.items():
        assert value.shape == COND[name].shape
        assert value.dtype == COND[name].dtype
        assert bool(conditions.is_missing(value).all())
        assert not bool(conditions.is_missing(COND[name]).any())


def test_drop_makes_the_right_rows_missing() -> None:
    keep = torch.tensor([True, False, True])
    for name, value in conditions.drop(COND, keep).items():
        assert conditions.is_missing(value).tolist() == [False, True, False]
        assert torch.equal(value[keep], COND[name][keep])


def test_cat_and_rows_are_inverse() -> None:
    both = conditions.cat([conditions.rows(COND, slice(0, 1)), conditions.rows(COND, torch.tensor([1, 2]))])
    assert all(torch.equal(both[name], COND[name]) for name in COND)
    with pytest.raises(ValueError, match="conditions differ in names"):
        conditions.cat([COND, {"label": COND["label"]}])


def test_no_condition_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        conditions.NO_COND["label"] = torch.zeros(1)  # type: ignore[index]
    assert len(Batch(torch.zeros(2, 1)).cond) == 0
