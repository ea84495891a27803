"""Small networks of every kind, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ornstein.networks import (
    MLP,
    ClassCondition,
    DiT,
    ImageCondition,
    MPUNet,
    TextCondition,
    UNet,
    VectorCondition,
)

VECTORS = (ClassCondition("label", 5), VectorCondition("emb", 6))
ALL = (*VECTORS, TextCondition("text", 7), ImageCondition("low_res", 2))

IMAGE_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ddpm": lambda: UNet(
        channels=3, widths=(16, 32), blocks=1, head=0, resample="conv", modulation="shift", conditions=ALL
    ),
    "adm": lambda: UNet(channels=3, out_channels=6, widths=(16, 32), blocks=1, head=8, conditions=ALL, dropout=0.1),
    "ddpm++": lambda: UNet(
        channels=3,
        widths=(16, 32),
        base=8,
        blocks=2,
        head=16,
        decoder_attention="last",
        project_resampled=True,
        modulation="shift",
        scale_sums=True,
        conditions=ALL,
    ),
    "ncsn++": lambda: UNet(
        channels=3,
        widths=(16, 16, 32),
        blocks=1,
        attention=(),
        head=16,
        filter="fir",
        project_resampled=True,
        scale_sums=True,
        input="residual",
        output="skip",
        embedding="fourier",
        embedding_factor=2,
        conditions=ALL,
    ),
    "skip input": lambda: UNet(channels=3, widths=(16, 32), blocks=1, head=16, input="skip", patch=2, conditions=ALL),
    "mp": lambda: MPUNet(channels=3, widths=(16, 32), blocks=1, head=16, conditions=ALL),
    "mp patch": lambda: MPUNet(
        channels=3, out_channels=1, widths=(16, 32, 32), blocks=2, head=16, patch=2, conditions=ALL
    ),
    "dit cross": lambda: DiT(channels=3, patch=2, width=32, depth=2, head=16, conditions=ALL),
    "dit tokens": lambda: DiT(
        channels=3, out_channels=6, patch=1, width=32, depth=2, head=16, conditions=ALL, text="tokens"
    ),
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **IMAGE_NETWORKS,
    "mlp": lambda: MLP(size=2, width=32, depth=2, conditions=VECTORS),
    "mlp fourier": lambda: MLP(size=3, out_size=1, width=32, depth=1, embedding="fourier", conditions=VECTORS),
}
OUT = {"adm": 6, "mp patch": 1, "dit tokens": 6, "mlp": 2, "mlp fourier": 1}


def inputs(name: str, batch: int = 4, size: tuple[int, int] = (8, 8)) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """``x``, ``t`` and a full condition for the network of that name."""
    vectors = {"label": torch.arange(batch) % 5, "emb": torch.randn(batch, 6)}
    t = torch.linspace(-1, 1, batch)
    if name.startswith("mlp"):
        return torch.randn(batch, 3 if "fourier" in name else 2), t, vectors
    mask = torch.arange(5) < torch.arange(batch)[:, None] % 4 + 2
    text = {"text": torch.randn(batch, 5, 7), "text_mask": mask}
    return torch.randn(batch, 3, *size), t, {**vectors, **text, "low_res": torch.randn(batch, 2, 3, 5)}


def shaken(network: nn.Module) -> nn.Module:
    """The same network with every parameter that starts at zero moved away from it, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.copy_(torch.randn(p.shape, generator=generator) * (0.2 if p.ndim < 2 else 0.2 / p[0].numel() ** 0.5))
                if p.ndim == 0:
                    p.fill_(0.7)
    return network.eval()
