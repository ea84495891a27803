"""Parameter counts of the papers, and arguments that cannot be meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from ornstein.core.errors import UsageError
from ornstein.networks import MLP, ClassCondition, DiT, ImageCondition, MPUNet, TextCondition, UNet, presets
from ornstein.networks.multiscale import MultiScale

COUNTS = [
    (presets.ddpm_cifar10, 35.7),
    (presets.ddpmpp_cifar10, 55.7),
    # DDPM++ plus what NCSN++ adds: the two convolutions of the input pyramid and a wider noise embedding.
    (presets.ncsnpp_cifar10, 56.4),
    (presets.adm_imagenet64, 296),
    (presets.edm2_xs, 125),
    (presets.dit_s, 33),
    (presets.dit_b, 130),
    (presets.dit_l, 458),
    (presets.dit_xl, 675),
]


@pytest.mark.parametrize(("preset", "millions"), COUNTS, ids=lambda v: getattr(v, "__name__", None))
def test_parameter_counts_of_the_papers(preset: Callable[[], nn.Module], millions: float) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in preset().parameters()) / 1e6
    decimals = 1 if millions < 100 and millions != 33 else 0
    assert round(count, decimals) == millions


LABEL = (ClassCondition("label", 3),)
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: UNet(channels=0), "channels must be at least 1, got 0"),
    (lambda: UNet(channels=3, out_channels=0), "out_channels must be at least 1"),
    (lambda: UNet(channels=3, widths=()), "widths must hold"),
    (lambda: UNet(channels=3, blocks=0), "blocks must be at least 1"),
    (lambda: UNet(channels=3, patch=0), "patch must be at least 1"),
    (lambda: UNet(channels=3, base=-1), "base must be at least 1"),
    (
        lambda: UNet(channels=3, attention=(2,)),
        r"attention names resolutions by index into widths \(0 .. 1\), got \(2,\)",
    ),
    (lambda: UNet(channels=3, head=48), r"not a multiple of head \(48\)"),
    (lambda: UNet(channels=3, head=-1), "head must be a width"),
    (lambda: UNet(channels=3, dropout=1.0), r"dropout must be in \[0, 1\)"),
    (lambda: UNet(channels=3, filter="firr"), "unknown filter 'firr': did you mean 'fir'"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, resample="pool"), "unknown resample 'pool'"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, modulation="scale"), "unknown modulation 'scale'"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, input="residuals"), "unknown input 'residuals': did you mean 'residual'"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, output="residual"), "unknown output"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, decoder_attention="first"), "unknown decoder_attention"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, embedding="cosine"), "unknown embedding 'cosine'"),  # type: ignore[arg-type]
    (lambda: UNet(channels=3, base=5, embedding="fourier"), "even width, got 5"),
    (lambda: UNet(channels=3, conditions=LABEL * 2), "conditions declares 'label' twice"),
    (lambda: MPUNet(channels=0), "channels must be at least 1"),
    (lambda: MPUNet(channels=3, widths=(0,)), "widths must hold"),
    (lambda: MPUNet(channels=3, blocks=0), "blocks and patch must be at least 1"),
    (lambda: MPUNet(channels=3, attention=(-1,)), "attention names resolutions"),
    (lambda: MPUNet(channels=3, head=48), r"128 channels are not a multiple of head \(48\)"),
    (lambda: MPUNet(channels=3, dropout=-0.1), "dropout must be in"),
    (lambda: MPUNet(channels=3, conditions=(TextCondition("a", 2), TextCondition("b", 2))), "attends to one text"),
    (lambda: DiT(channels=0), "channels must be at least 1"),
    (lambda: DiT(channels=3, depth=0), "depth must be at least 1"),
    (lambda: DiT(channels=3, width=30), "width must be a multiple of 4"),
    (lambda: DiT(channels=3, width=96), r"96 channels are not a multiple of head \(64\)"),
    (lambda: DiT(channels=3, ratio=0), "ratio must be positive"),
    (lambda: DiT(channels=3, text="token"), "unknown text 'token': did you mean 'tokens'"),  # type: ignore[arg-type]
    (lambda: MLP(size=0), "size must be at least 1"),
    (lambda: MLP(size=2, depth=0), "depth must be at least 1"),
    (lambda: MLP(size=2, conditions=(ImageCondition("low_res", 3),)), "takes classes and vectors, not ImageCondition"),
    (lambda: MLP(size=2, conditions=(TextCondition("text", 3),)), "takes classes and vectors, not TextCondition"),
    (lambda: MultiScale(size=10), "size 10 is not a multiple of 4, which 3 scales need"),
    (lambda: MultiScale(size=8, dense=1), "dense must be at least 2, got 1"),
    (lambda: MultiScale(size=8, width=0), "width must be at least 1, got 0"),
    (
        lambda: MultiScale(size=8, conditions=(TextCondition("text", 3),)),
        "takes classes and vectors, not TextCondition",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=range(len(BAD)))
def test_arguments_are_checked(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_mlp_checks_its_input() -> None:
    with pytest.raises(UsageError, match=r"takes \[B, 2\], got \(4, 3\)"):
        MLP(size=2)(torch.zeros(4, 3), torch.zeros(4))


def test_multi_scale_reads_time_by_bumps_alone() -> None:
    """Between two bumps the output is a mixture of what each reads; another size is refused."""
    network = MultiScale(size=8, channels=1, dense_width=16, bumps=2)
    nn.init.normal_(network.read.weight)
    x = torch.randn(3, 1, 8, 8)
    early, late, between = (network(x, torch.full((3,), t)) for t in (0.0, 1000.0, 500.0))
    assert not torch.allclose(early, late)
    torch.testing.assert_close(between, (early + late) / 2, rtol=1e-4, atol=1e-5)  # one gap apart: weights 1/2
    with pytest.raises(UsageError, match=r"takes \[B, C, 8, 8\], got \(1, 1, 4, 4\)"):
        network(torch.zeros(1, 1, 4, 4), torch.zeros(1))


def test_the_same_weights_are_found_again() -> None:
    for network in (
        UNet(channels=1, widths=(8, 16), head=16, embedding="fourier"),
        MPUNet(channels=1, widths=(8, 16), head=16),
    ):
        names = set(network.state_dict())
        assert any("frequencies" in n for n in names), "random features belong to the checkpoint"
