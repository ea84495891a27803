"""Few-shot systems: company in training, sets in use, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.data import Images, Loader
from ornstein.data.companions import Companions
from ornstein.networks.sets import Exemplified, SetEncoder
from ornstein.recipes import house
from ornstein.recipes.system import System

TINY: dict[str, Any] = {
    "size": 8,
    "channels": 1,
    "widths": (32,),
    "blocks": 1,
    "patch": 1,
    "code_width": 32,
    "code_depth": 1,
}


def built(**settings: Any) -> System:
    system = house.build("fsdm", settings={**TINY, **settings})
    for name, p in system.denoiser.named_parameters():
        if name.endswith("gain"):  # zero at the start, so that an untrained network would ignore what it is told
            torch.nn.init.constant_(p, 0.7)
    return system


def marked(labels: list[int]) -> Images:
    """Pictures whose first pixel is their row."""
    x = np.zeros((len(labels), 1, 8, 8), np.uint8)
    x[:, 0, 0, 0] = np.arange(len(labels))
    return Images(x, np.array(labels), ("a", "b", "c"), name="marked")


def rows_of(sets: torch.Tensor) -> list[list[int]]:
    first = ((sets[..., 0, 0, 0] + 1) * 127.5).round()
    return [[int(v) for v in row if not v.isnan()] for row in first]


def test_company_is_of_the_same_class_and_never_the_sample_itself() -> None:
    labels = [0] * 6 + [1] * 3 + [2, -1, 0]
    stream = Companions(Loader(marked(labels), 12, seed=3), 4, "set")
    sizes: dict[int, set[int]] = {}
    for step in range(40):
        batch = stream.batch_at(step)
        assert set(batch.cond) == {"set"}
        own = rows_of(2 * batch.x.unsqueeze(1).float() / 255 - 1)
        for (row,), others in zip(own, rows_of(batch.cond["set"]), strict=True):
            assert row not in others and len(set(others)) == len(others)
            assert all(labels[o] == labels[row] for o in others)
            sizes.setdefault(row, set()).add(len(others))
    assert sizes[0] == {1, 2, 3, 4} and sizes[6] == {1, 2} and sizes[9] == {0} and sizes[10] == {0}


def test_company_is_a_function_of_the_batchs_number() -> None:
    table = marked([0, 1] * 8)
    stream, again = (Companions(Loader(table, 4, seed=1), 3, "set") for _ in range(2))
    batches = [b for b, _ in zip(stream, range(5), strict=False)]
    again.restore({**stream.state(), "step": 4})
    torch.testing.assert_close(next(iter(again)).cond["set"], batches[4].cond["set"], equal_nan=True)
    parts = [Companions(Loader(table, 4, 1, rank=r, world=2), 3, "set").batch_at(2).cond["set"] for r in range(2)]
    torch.testing.assert_close(torch.cat(parts), batches[2].cond["set"], equal_nan=True)


def test_data_without_company_are_refused() -> None:
    bare = Images(np.zeros((4, 1, 8, 8), np.uint8), name="bare")
    with pytest.raises(DataError, match="'bare' has no labels, and sets are of one class"):
        Companions(Loader(bare, 2, 0), 3, "set")
    with pytest.raises(DataError, match="no class of 'marked' has two pictures"):
        Companions(Loader(marked([0, 1, 2]), 2, 0), 3, "set")
    with pytest.raises(UsageError, match="at least 1 picture, got 0"):
        Companions(Loader(marked([0, 0]), 2, 0), 0, "set")


def test_a_set_has_no_order_and_counts_only_who_is_there() -> None:
    torch.manual_seed(0)
    encoder = SetEncoder(channels=2, size=8, width=16, patch=4, depth=2).requires_grad_(False)
    x = torch.randn(3, 4, 2, 8, 8)
    code = encoder(x)
    assert code.shape == (3, 5, 16)
    torch.testing.assert_close(encoder(x[:, [2, 0, 3, 1]]), code, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder(x.repeat(1, 2, 1, 1, 1)), code, atol=1e-5, rtol=0)
    assert float((encoder(x[:, :3]) - code).abs().max()) > 1e-3
    gaps = torch.cat([torch.full((3, 1, 2, 8, 8), torch.nan), x], 1)
    torch.testing.assert_close(encoder(gaps), code, atol=1e-5, rtol=0)
    # More than the mean picture: two sets of the same mean differ.
    spread = torch.stack([x[:, 0] + 1, x[:, 0] - 1], 1)
    assert float((encoder(spread) - encoder(x[:, :1])).abs().max()) > 1e-3
    gaps[1] = torch.nan
    assert encoder(gaps).isnan().flatten(1).any(1).tolist() == [False, True, False]
    with pytest.raises(UsageError, match="multiple of the encoder's patch"):
        SetEncoder(channels=1, size=9, patch=4)
    with pytest.raises(UsageError, match=r"a set is \[B, K, 2, 8, 8\], got \(3, 2, 8, 8\)"):
        encoder(x[:, 0])


@pytest.mark.parametrize("conditioning", ["vector", "tokens"])
def test_the_encoder_learns_and_its_code_is_made_once(conditioning: str) -> None:
    system = built(conditioning=conditioning)
    network = system.denoiser.network
    assert isinstance(network, Exemplified)
    x, t = torch.randn(2, 1, 8, 8), torch.rand(2)
    cond = {"set": torch.randn(2, 3, 1, 8, 8)}
    out = network(x, t, cond)
    torch.testing.assert_close(network(x, t, network.encoded(cond)), out)
    out.square().mean().backward()
    grads = [p.grad for p in network.encoder.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in grads)
    assert any(bool(g.any()) for g in grads if g is not None)


def test_samples_depend_on_the_examples() -> None:
    system = built()
    x = torch.rand((2, 3, 1, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    both = system.sample(2, set=x, steps=3, seed=4).tensor
    torch.testing.assert_close(system.sample(1, set=x[1], steps=3, seed=5).tensor[0], both[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(system.sample(2, set=x.flip(1), steps=3, seed=4).tensor, both, atol=1e-4, rtol=0)
    plain, other = system.sample(2, steps=3, seed=4).tensor, system.sample(2, set=x.flip(0), steps=3, seed=4).tensor
    assert not torch.equal(plain, both) and not torch.equal(other, both)
    bytes_ = ((x[0] + 1) * 127.5).round().byte()
    floats = bytes_.float() / 127.5 - 1
    table = Images(bytes_.numpy(), np.ones(3, np.int64), ("a", "b"))
    drawn = [system.sample(2, set=v, steps=3).tensor for v in (bytes_, floats, table)]
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    guided = system.sample(2, set=x, steps=3, seed=4, guidance=3.0).tensor
    assert bool(guided.isfinite().all()) and not torch.equal(guided, both)


def test_bad_sets() -> None:
    system = built()
    with pytest.raises(DataError, match="the set is empty"):
        system.sample(1, set=torch.zeros(0, 1, 8, 8))
    with pytest.raises(DataError, match=r"\[K, 1, 8, 8\] for all, or one for each of 3 samples; got \(2, 5, 1, 8, 8\)"):
        system.sample(3, set=torch.zeros(2, 5, 1, 8, 8))
    with pytest.raises(DataError, match=r"got \(5, 1, 9, 9\): resize the examples"):
        system.sample(1, set=torch.zeros(5, 1, 9, 9))
    with pytest.raises(DataError, match=r"in \[-1, 1\]; these reach 255"):
        system.sample(1, set=torch.full((5, 1, 8, 8), 255.0))
    with pytest.raises(DataError, match="bytes or floats"):
        system.sample(1, set=torch.zeros(5, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(DataError, match=r"of 2 classes \(a, b\); a set is of one class"):
        system.sample(1, set=marked([0, 1, 1]))
    with pytest.raises(UsageError, match="unknown condition 'sets': did you mean 'set'"):
        system.sample(1, sets=torch.zeros(5, 1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 0}, "members and code_depth must be at least 1, got 0 and 1"),
        ({"code_patch": 3}, r"not a multiple of code_patch \(3\)"),
        ({"chain": 1}, "chain must be at least 2"),
        ({"sampling_steps": 2000}, "sampling_steps must lie in 1 .. 1000"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(**settings)
