"""The shared layers against their definitions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ornstein.core.errors import UsageError
from ornstein.networks import ClassCondition, ImageCondition, TextCondition, VectorCondition
from ornstein.networks.layers.attention import FEW, SHORT, attend
from ornstein.networks.layers.conditioning import Conditioning, read_image, read_text
from ornstein.networks.layers.embedding import Fourier, Sinusoidal
from ornstein.networks.layers.norm import GroupNorm
from ornstein.networks.layers.resample import Resample


@pytest.mark.parametrize("keys", [7, FEW + 4, SHORT + 1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_attention(keys: int, masked: bool, dtype: torch.dtype) -> None:
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, keys, 8), torch.randn(2, 3, keys, 8)
    mask = torch.rand(2, keys) < 0.6 if masked else None
    logits = torch.einsum("bhqd,bhkd->bhqk", q, k) / 8**0.5
    if mask is not None:
        logits = logits - 1e9 * (~mask)[:, None, None].float()
    expected = torch.einsum("bhqk,bhkd->bhqd", logits.softmax(-1), v)
    out = attend(q.to(dtype), k.to(dtype), v.to(dtype), mask)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, atol=0.03 if dtype == torch.bfloat16 else 1e-5, rtol=0.03)


@pytest.mark.parametrize(("channels", "groups"), [(128, 32), (16, 4), (20, 5), (6, 1), (3, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_group_norm(channels: int, groups: int, layout: torch.memory_format) -> None:
    norm = GroupNorm(channels)
    assert norm.groups == groups
    torch.nn.init.normal_(norm.weight)
    x = (3 * torch.randn(2, channels, 5, 4) + 1).to(memory_format=layout)
    g = x.reshape(2, groups, -1)
    g = (g - g.mean(-1, keepdim=True)) / (g.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    expected = g.reshape(x.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert norm(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("filter", ["box", "fir"])
def test_resampling_keeps_constants_and_rounds_up(filter: str) -> None:
    down, up = Resample("down", filter), Resample("up", filter)  # type: ignore[arg-type]
    assert down(torch.ones(1, 2, 7, 10)).shape == (1, 2, 4, 5)
    assert up(torch.ones(1, 2, 4, 5)).shape == (1, 2, 8, 10)
    inside = (..., slice(2, -2), slice(2, -2))  # the filter sees zeros beyond the border
    torch.testing.assert_close(down(torch.ones(1, 2, 16, 16))[inside], torch.ones(1, 2, 4, 4))
    torch.testing.assert_close(up(torch.ones(1, 2, 8, 8))[inside], torch.ones(1, 2, 12, 12))


def test_fir_is_the_outer_product_of_its_taps() -> None:
    x = torch.zeros(1, 1, 12, 12)
    x[0, 0, 5, 5] = 1
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    torch.testing.assert_close(Resample("up", "fir")(x)[0, 0, 9:13, 9:13], 4 * torch.outer(taps, taps))
    x = torch.randn(1, 1, 8, 8)
    by_hand = F.conv2d(F.pad(x, (1, 1, 1, 1)), torch.outer(taps, taps)[None, None])[..., ::2, ::2]
    torch.testing.assert_close(Resample("down", "fir")(x), by_hand)


def test_noise_features() -> None:
    t = torch.tensor([0.0, 0.3, 900.0])
    sinusoidal = Sinusoidal(8)(t)
    expected = torch.stack([t * 10000 ** (-i / 3) for i in range(4)], 1)
    torch.testing.assert_close(sinusoidal, torch.cat([expected.cos(), expected.sin()], 1), atol=2e-4, rtol=0)
    layer = Fourier(2000)
    assert abs(layer.frequencies.std() / (2 * torch.pi) - 16) < 1.5
    torch.testing.assert_close(layer(t)[:, :1000] ** 2 + layer(t)[:, 1000:] ** 2, torch.ones(3, 1000))
    assert "frequencies" in layer.state_dict(), "drawn at random, so saved with the weights"


def test_image_is_averaged_down_and_keeps_its_size() -> None:
    c, null = ImageCondition("image", 1), torch.tensor([0.5])
    image = torch.randn(2, 1, 8, 8)
    small = read_image(c, {"image": image}, null, torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(small, F.avg_pool2d(image, 2))
    image[1] = torch.nan
    same = read_image(c, {"image": image}, null, torch.zeros(2, 3, 8, 8))
    torch.testing.assert_close(same[0], image[0])
    assert (same[1] == 0.5).all()
    assert (read_image(c, {}, null, torch.zeros(2, 3, 4, 4)) == 0.5).all()
    large = read_image(c, {"image": torch.ones(2, 1, 4, 4)}, null, torch.zeros(2, 3, 9, 12))
    torch.testing.assert_close(large, torch.ones(2, 1, 9, 12))


def test_a_text_of_padding_alone_is_missing() -> None:
    c, null = TextCondition("text", 3), torch.tensor([1.0, 2.0, 3.0])
    mask = torch.tensor([[True, True], [False, False], [True, False]])
    text = read_text(c, {"text": torch.randn(3, 2, 3), "text_mask": mask}, null, torch.zeros(3, 1))
    assert text.mask.tolist() == [[True, True], [True, False], [True, False]]
    torch.testing.assert_close(text.tokens[1], null.expand(2, 3))
    absent = read_text(c, {}, null, torch.zeros(3, 1))
    assert absent.tokens.shape == (3, 1, 3) and absent.mask.all()


def test_several_texts_are_joined() -> None:
    layer = Conditioning(conditions=(TextCondition("a", 3), TextCondition("b", 4)), width=8, text_width=6)
    text = layer.text({"a": torch.randn(2, 5, 3), "b": torch.randn(2, 1, 4)}, torch.zeros(2, 1))
    assert text is not None and text.tokens.shape == (2, 6, 6) and text.mask.shape == (2, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassCondition("label", 0), r"ClassCondition\('label'\): classes must be at least 1, got 0"),
        (lambda: VectorCondition("", 3), "VectorCondition needs a name"),
        (lambda: TextCondition("a.b", 3), "name without dots, got 'a.b'"),
        (lambda: ImageCondition("i", -1), r"ImageCondition\('i'\): channels must be at least 1"),
        (
            lambda: Conditioning(conditions=(ClassCondition("y", 2), VectorCondition("y", 2)), width=4, text_width=4),
            "conditions declares 'y' twice",
        ),
        (lambda: Conditioning(conditions=("label",), width=4, text_width=4), "conditions holds 'label'"),  # type: ignore[arg-type]
    ],
)
def test_declarations_are_checked(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
