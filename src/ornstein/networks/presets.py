"""The networks of well-known papers, by name. Each takes the conditions that it shall read."""

from __future__ import annotations

from ornstein.networks.dit import DiT
from ornstein.networks.layers.conditioning import ClassCondition, Condition
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet

IMAGENET: tuple[Condition, ...] = (ClassCondition("label", 1000),)


def ddpm_cifar10(
    *,
    channels: int = 3,
    out_channels: int | None = None,
    conditions: tuple[Condition, ...] = (),
    dropout: float = 0.1,
) -> UNet:
    """DDPM's network for CIFAR-10, 35.7 M parameters; Ho et al. 2020, appendix B."""
    return UNet(
        channels=channels,
        out_channels=out_channels,
        widths=(128, 256, 256, 256),
        blocks=2,
        attention=(1,),
        head=0,
        resample="conv",
        modulation="shift",
        conditions=conditions,
        dropout=dropout,
    )


def iddpm_cifar10(
    *,
    channels: int = 3,
    out_channels: int | None = None,
    conditions: tuple[Condition, ...] = (),
    dropout: float = 0.3,
) -> UNet:
    """Improved DDPM's network for CIFAR-10: three blocks, attention of four heads at 16 x 16 and 8 x 8.

    Nichol & Dhariwal 2021, appendix A.
    """
    return UNet(
        channels=channels,
        out_channels=out_channels,
        widths=(128, 256, 256, 256),
        blocks=3,
        attention=(1, 2),
        head=64,
        resample="conv",
        modulation="scale_shift",
        conditions=conditions,
        dropout=dropout,
    )


def ddpmpp_cifar10(
    *,
    channels: int = 3,
    out_channels: int | None = None,
    conditions: tuple[Condition, ...] = (),
    dropout: float = 0.13,
) -> UNet:
    """DDPM++ as re-stated by EDM, 55.7 M parameters; Karras et al. 2022, table 7."""
    return UNet(
        channels=channels,
        out_channels=out_channels,
        widths=(256, 256, 256),
        base=128,
        blocks=4,
        attention=(1,),
        head=0,
        decoder_attention="last",
        project_resampled=True,
        modulation="shift",
        scale_sums=True,
        conditions=conditions,
        dropout=dropout,
    )


def ncsnpp_cifar10(
    *,
    channels: int = 3,
    out_channels: int | None = None,
    conditions: tuple[Condition, ...] = (),
    dropout: float = 0.13,
) -> UNet:
    """NCSN++ as re-stated by EDM; Karras et al. 2022, table 7. 56.4 M parameters: DDPM++ and 0.66 M of progressive input."""
    return UNet(
        channels=channels,
        out_channels=out_channels,
        widths=(256, 256, 256),
        base=128,
        blocks=4,
        attention=(1,),
        head=0,
        decoder_attention="last",
        filter="fir",
        project_resampled=True,
        modulation="shift",
        scale_sums=True,
        input="residual",
        embedding="fourier",
        embedding_factor=2,
        conditions=conditions,
        dropout=dropout,
    )


def adm_imagenet64(
    *,
    channels: int = 3,
    out_channels: int | None = None,
    conditions: tuple[Condition, ...] = IMAGENET,
    dropout: float = 0.1,
) -> UNet:
    """ADM for ImageNet at 64 x 64, 296 M parameters; Dhariwal & Nichol 2021, as re-stated by Karras et al. 2022, table 7."""
    return UNet(
        channels=channels,
        out_channels=out_channels,
        widths=(192, 384, 576, 768),
        blocks=3,
        attention=(1, 2, 3),
        head=64,
        modulation="scale_shift",
        conditions=conditions,
        dropout=dropout,
    )


def edm2_xs(*, conditions: tuple[Condition, ...] = IMAGENET, dropout: float = 0.0) -> MPUNet:
    """EDM2-XS for latents of 64 x 64 x 4, 125 M parameters; Karras et al. 2024, table 2."""
    return MPUNet(
        channels=4,
        widths=(128, 256, 384, 512),
        blocks=3,
        attention=(2, 3),
        head=64,
        conditions=conditions,
        dropout=dropout,
    )


def _dit(width: int, depth: int, head: int, patch: int, conditions: tuple[Condition, ...]) -> DiT:
    return DiT(channels=4, out_channels=8, patch=patch, width=width, depth=depth, head=head, conditions=conditions)


def dit_s(*, patch: int = 2, conditions: tuple[Condition, ...] = IMAGENET) -> DiT:
    """DiT-S, 33 M parameters at patch 2; latents of 4 channels, learned variances. Peebles & Xie 2023, table 1."""
    return _dit(384, 12, 64, patch, conditions)


def dit_b(*, patch: int = 2, conditions: tuple[Condition, ...] = IMAGENET) -> DiT:
    """DiT-B, 130 M parameters at patch 2."""
    return _dit(768, 12, 64, patch, conditions)


def dit_l(*, patch: int = 2, conditions: tuple[Condition, ...] = IMAGENET) -> DiT:
    """DiT-L, 458 M parameters at patch 2."""
    return _dit(1024, 24, 64, patch, conditions)


def dit_xl(*, patch: int = 2, conditions: tuple[Condition, ...] = IMAGENET) -> DiT:
    """DiT-XL, 675 M parameters at patch 2."""
    return _dit(1152, 28, 72, patch, conditions)
