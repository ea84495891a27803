"""Masks in training: a part of what was observed, hidden in the way that their name says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.rng import Stream
from ornstein.objectives.series import MASKS, get_masks

B, K, L = 400, 3, 12


def observed() -> Tensor:
    return torch.rand((B, K, L), generator=torch.Generator().manual_seed(1)) < 0.8


@pytest.mark.parametrize("name", [*MASKS, "forecast"])
def test_a_mask_is_a_part_of_what_was_observed(name: str) -> None:
    seen = observed()
    given = get_masks((name,), horizon=4)(seen, Stream(0))
    assert given.dtype == torch.bool and bool((given <= seen).all())
    assert bool((given != seen).any()) and bool(given.any())


def test_random_hides_any_share() -> None:
    seen = torch.ones(B, K, L, dtype=torch.bool)
    share = 1 - get_masks(("random",))(seen, Stream(0)).float().mean((1, 2))
    # A uniform share: quarter and three quarters of the samples lie below their values, within three standard errors.
    for q in (0.25, 0.5, 0.75):
        assert abs(float((share < q).float().mean()) - q) < 0.08


def test_historical_hides_what_the_next_sample_lacks() -> None:
    seen = observed()
    assert torch.equal(get_masks(("historical",))(seen, Stream(0)), seen & torch.cat([seen[-1:], seen[:-1]]))


def runs(hidden: Tensor) -> Tensor:
    """How many runs of hidden steps each row has."""
    padded = torch.nn.functional.pad(hidden.int(), (1, 0))
    return (padded.diff(dim=-1) == 1).sum(-1)


def test_segments_are_one_run_a_column_and_blackouts_one_for_all() -> None:
    seen = torch.ones(B, K, L, dtype=torch.bool)
    hidden = ~get_masks(("segments",))(seen, Stream(0))
    assert int(runs(hidden).max()) == 1 and bool(hidden.any((1, 2)).all())
    assert bool((hidden[:, 0] != hidden[:, 1]).any())
    dark = ~get_masks(("blackout",))(seen, Stream(0))
    assert torch.equal(dark[:, 0], dark[:, 1]) and int(runs(dark).max()) == 1
    lengths = dark[:, 0].sum(1)
    assert int(lengths.min()) == 1 and int(lengths.max()) == L - 1
    ends = (dark[:, 0, 0].any(), dark[:, 0, -1].any())
    assert all(map(bool, ends)), "a run may touch either end"


def test_forecast_hides_the_end() -> None:
    seen = torch.ones(2, K, L, dtype=torch.bool)
    given = get_masks(("forecast",), 5)(seen, Stream(0))
    assert bool(given[..., :-5].all()) and not bool(given[..., -5:].any())
    with pytest.raises(UsageError, match=r"horizon must lie in 1 \.\. 11"):
        get_masks(("forecast",), 12)(seen, Stream(0))


def test_a_mixture_draws_one_way_a_sample() -> None:
    seen = torch.ones(B, K, L, dtype=torch.bool)
    hidden = ~get_masks(("blackout", "forecast"), 4)(seen, Stream(0))
    same = torch.equal(hidden[:, 0], hidden[:, 1])
    tails = hidden[..., -4:].all((1, 2)) & ~hidden[..., :-4].any(-1).any(-1)
    assert same and 0.4 < float(tails.float().mean()) < 0.65
    with pytest.raises(UsageError, match="unknown mask 'blockout': did you mean 'blackout'"):
        get_masks(("blockout",))
    with pytest.raises(UsageError, match="at least one way"):
        get_masks(())
