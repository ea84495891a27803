"""What every network owes: shapes, zero at the start, independent rows, missing conditions, gradients, precision."""

from __future__ import annotations

import pytest
import torch

from networks.cases import IMAGE_NETWORKS, NETWORKS, OUT, inputs, shaken
from ornstein.core import cond as conditions
from ornstein.core.errors import UsageError
from ornstein.networks.dit import DiTBlock
from ornstein.networks.layers.blocks import Block
from ornstein.networks.layers.conditioning import Text

every = pytest.mark.parametrize("name", NETWORKS)
image = pytest.mark.parametrize("name", IMAGE_NETWORKS)


@every
def test_shape_and_zero_at_the_start(name: str) -> None:
    x, t, cond = inputs(name)
    out = NETWORKS[name]()(x, t, cond)
    expected = (x.shape[0], OUT.get(name, x.shape[1]), *x.shape[2:])
    assert out.shape == expected and out.dtype == torch.float32
    assert not out.any(), "the last layer starts at zero"


@every
def test_rows_are_independent(name: str) -> None:
    x, t, cond = inputs(name)
    cond = conditions.drop(cond, torch.tensor([True, True, False, True]))
    network = shaken(NETWORKS[name]())
    whole = network(x, t, cond)
    assert whole.std() > 1e-3
    for i in range(len(x)):
        alone = network(x[i : i + 1], t[i : i + 1], conditions.rows(cond, slice(i, i + 1)))
        torch.testing.assert_close(alone, whole[i : i + 1], atol=1e-4, rtol=1e-4)


@every
def test_missing_is_absent(name: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    absent = network(x, t)
    torch.testing.assert_close(network(x, t, conditions.null(cond)), absent, atol=1e-5, rtol=1e-4)
    partly = network(x, t, conditions.drop(cond, torch.tensor([True, False, True, False])))
    torch.testing.assert_close(partly[1::2], absent[1::2], atol=1e-5, rtol=1e-4)


@every
def test_every_input_is_read(name: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    out = network(x, t, cond)
    assert (network(x, t + 0.5, cond) - out).abs().max() > 1e-4
    for key in cond:
        if key != "text_mask":
            changed = {**cond, key: conditions.missing_like(cond[key])}
            per_row = (network(x, t, changed) - out).flatten(1).abs().amax(1)
            assert per_row.min() > 1e-5, key


@every
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    x, t, cond = inputs(name)
    # Half the rows have no conditions, so that the null embeddings take part.
    cond = conditions.drop(cond, torch.tensor([True, False, True, False]))
    network = shaken(NETWORKS[name]()).train()
    network(x, t, cond).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@every
@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_reduced_precision(name: str, how: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    exact = network(x, t, cond)
    if how == "weights":
        network = network.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how == "autocast"):
        out = network(x, t, cond)
    assert out.dtype == torch.float32
    assert (out - exact).std() < 0.05 * exact.std()


@every
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # inside torch.func.jvp
def test_forward_and_reverse_derivatives_agree(name: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    v = torch.randn_like(x)
    out, tangent = torch.func.jvp(lambda x: network(x, t, cond), (x,), (v,))
    w = torch.randn_like(out)
    (gradient,) = torch.func.vjp(lambda x: network(x, t, cond), x)[1](w)
    torch.testing.assert_close((tangent * w).sum(), (gradient * v).sum(), rtol=1e-3, atol=1e-3)


@image
@pytest.mark.parametrize("size", [(14, 14), (12, 6), (6, 10)])
def test_sizes(name: str, size: tuple[int, int]) -> None:
    x, t, cond = inputs(name, batch=2, size=size)
    assert shaken(NETWORKS[name]())(x, t, cond).shape[-2:] == size


@pytest.mark.parametrize("name", [n for n in IMAGE_NETWORKS if n not in ("skip input", "mp patch", "dit cross")])
def test_odd_sizes(name: str) -> None:
    x, t, cond = inputs(name, batch=2, size=(7, 5))
    assert shaken(NETWORKS[name]())(x, t, cond).shape[-2:] == (7, 5)


@image
def test_memory_format_is_no_matter(name: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    out = network(x, t, cond)
    network = network.to(memory_format=torch.channels_last)
    last = network(x.to(memory_format=torch.channels_last), t, cond)
    torch.testing.assert_close(last, out, atol=1e-4, rtol=1e-4)


@image
def test_padding_of_a_text_is_ignored(name: str) -> None:
    x, t, cond = inputs(name)
    network = shaken(NETWORKS[name]())
    out = network(x, t, cond)
    padding = ~cond["text_mask"][..., None]
    noise = torch.where(padding, torch.randn(4, 5, 7) * 100, cond["text"])
    nans = torch.where(padding, torch.tensor(torch.nan), cond["text"])
    longer = (
        torch.cat([cond["text"], torch.randn(4, 3, 7)], 1),
        torch.cat([cond["text_mask"], torch.zeros(4, 3).bool()], 1),
    )
    order = torch.stack(
        [torch.cat([torch.arange(n), torch.randperm(5 - n) + n]) for n in cond["text_mask"].sum(1).tolist()]
    )
    permuted = noise.gather(1, order[..., None].expand(-1, -1, 7))
    for text, mask in ((noise, cond["text_mask"]), (nans, cond["text_mask"]), longer, (permuted, cond["text_mask"])):
        other = network(x, t, {**cond, "text": text, "text_mask": mask})
        torch.testing.assert_close(other, out, atol=1e-5, rtol=1e-4)
    tokens = torch.where(padding, cond["text"], cond["text"] + 1)
    assert (network(x, t, {**cond, "text": tokens}) - out).abs().max() > 1e-4


@every
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("label", torch.tensor([0, 1, 2, 5]), r"cond\['label'\] holds 5, but the network has 5 classes"),
        ("label", torch.zeros(4), r"cond\['label'\] must be \[4\] integers"),
        ("label", torch.zeros(3).long(), r"cond\['label'\] must be \[4\] integers"),
        ("emb", torch.zeros(4, 7), r"cond\['emb'\] must be floats of shape \[4, 6\], got \(4, 7\)"),
    ],
)
def test_unfit_vectors(name: str, key: str, value: torch.Tensor, message: str) -> None:
    x, t, cond = inputs(name)
    with pytest.raises(UsageError, match=message):
        NETWORKS[name]()(x, t, {**cond, key: value})


@image
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text", torch.zeros(4, 5, 6), r"cond\['text'\] must be floats of shape \[4, any, 7\]"),
        ("text_mask", torch.ones(4, 5), r"cond\['text_mask'\] must be bool \(4, 5\)"),
        ("low_res", torch.zeros(4, 1, 8, 8), r"cond\['low_res'\] must be floats of shape \[4, 2, any, any\]"),
    ],
)
def test_unfit_sequences_and_images(name: str, key: str, value: torch.Tensor, message: str) -> None:
    x, t, cond = inputs(name)
    with pytest.raises(UsageError, match=message):
        NETWORKS[name]()(x, t, {**cond, key: value})


@image
def test_unfit_input(name: str) -> None:
    x, t, cond = inputs(name)
    with pytest.raises(UsageError, match="takes 3 channels, got 2"):
        NETWORKS[name]()(x[:, :2], t, cond)


@pytest.mark.parametrize("name", ["skip input", "mp patch", "dit cross"])
def test_unfit_size(name: str) -> None:
    x, t, cond = inputs(name, size=(7, 8))
    with pytest.raises(UsageError, match="7 x 8 is not a multiple of patch"):
        NETWORKS[name]()(x, t, cond)


def test_residual_branches_start_at_zero() -> None:
    """Every block of the U-Nets with group norm, and of DiT, is its skip path at the start."""
    emb = torch.randn(2, 64)
    for scale in (1.0, 0.5):
        block = Block(32, 32, 64, attention=True, head=16, text=64, scale=scale)
        x, text = torch.randn(2, 32, 6, 6), Text(torch.randn(2, 3, 64), torch.ones(2, 3, dtype=torch.bool))
        torch.testing.assert_close(block(x, emb, text), x * scale**3)  # a sum each in block, attention, cross-attention
        tokens = torch.randn(2, 9, 64)
        torch.testing.assert_close(DiTBlock(64, 16, 4.0, True)(tokens, emb, None, text), tokens)
