"""Networks of other libraries, and ours of equal parameters, behind one calling convention: (x, t) -> out."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import torch
from torch import Tensor, nn

from ornstein.networks.mp_unet import MPUNet

SIZE, CHANNELS = 32, 3
STAND_IN = "stand-in modules for torchvision and pytorch_fid"
STAND_INS = (
    "torchvision",
    "torchvision.transforms",
    "torchvision.utils",
    "pytorch_fid",
    "pytorch_fid.fid_score",
    "pytorch_fid.inception",
)
SPREAD = 0.03
"""Share by which numbers of parameters may differ."""


class DiffusersUNet(nn.Module):
    """UNet2DModel; by default of 1.7 M parameters, with its own width of an attention head, 8."""

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 64),
        attention: tuple[int, ...] = (1, 2),
        groups: int = 8,
        head: int | None = 8,
    ) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        def kinds(direction: str) -> tuple[str, ...]:
            made = [f"{'Attn' if i in attention else ''}{direction}Block2D" for i in range(len(widths))]
            return tuple(made if direction == "Down" else reversed(made))

        self.net = UNet2DModel(
            sample_size=SIZE,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            layers_per_block=2,
            block_out_channels=widths,
            down_block_types=kinds("Down"),
            up_block_types=kinds("Up"),
            norm_num_groups=groups,
            attention_head_dim=head,
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(x, t).sample


class DiffusersDiT(nn.Module):
    """DiTTransformer2DModel in the layout of DiT-S/2; its labels are all class 0."""

    def __init__(self, width: int = 384, depth: int = 12, head: int = 64) -> None:
        super().__init__()
        from diffusers import DiTTransformer2DModel

        self.net = DiTTransformer2DModel(
            num_attention_heads=width // head,
            attention_head_dim=head,
            in_channels=4,
            out_channels=4,
            num_layers=depth,
            sample_size=SIZE,
            patch_size=2,
            num_embeds_ada_norm=10,
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        labels = torch.zeros(len(x), dtype=torch.long)
        return self.net(x, timestep=(1000 * t).long(), class_labels=labels).sample


def lucidrains_unet() -> nn.Module:
    """denoising-diffusion-pytorch's Unet; build diffusers' before it, which asks for torchvision."""
    for name in STAND_INS:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    sys.modules["pytorch_fid.fid_score"].calculate_frechet_distance = None  # type: ignore[attr-defined]
    sys.modules["pytorch_fid.inception"].InceptionV3 = None  # type: ignore[attr-defined]
    from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Unet

    return Unet(dim=36, dim_mults=(1, 2, 2), channels=CHANNELS)


def mp_unet(patch: int) -> MPUNet:
    """Ours: on blocks of 2 x 2 pixels, as the recipes build it, or with the peers' resolutions (patch 1)."""
    if patch == 2:
        return MPUNet(channels=CHANNELS, widths=(48, 84), blocks=2, attention=(), head=84, patch=2)
    return MPUNet(channels=CHANNELS, widths=(32, 60, 68), blocks=2, attention=(2,), head=68)


def unets() -> dict[str, nn.Module]:
    """U-Nets of 1.7 M parameters for images of 32 x 32 x 3.

    Raises:
        SystemExit: their parameters differ by more than :data:`SPREAD`.
    """
    nets = {
        "ornstein": mp_unet(2),
        "ornstein, patch 1": mp_unet(1),
        "diffusers": DiffusersUNet(),
        "diffusers, one head": DiffusersUNet(head=None),
        "denoising-diffusion-pytorch": lucidrains_unet(),
    }
    sizes = {name: parameters(net) for name, net in nets.items()}
    spread = max(abs(n / sizes["ornstein, patch 1"] - 1) for n in sizes.values())
    if spread > SPREAD:
        raise SystemExit(f"parameters differ by {spread:.1%}, more than {SPREAD:.0%}: {sizes}")
    return nets


def parameters(net: nn.Module) -> int:
    """How many."""
    return sum(p.numel() for p in net.parameters())
