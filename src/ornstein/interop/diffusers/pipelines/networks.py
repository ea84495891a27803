"""diffusers' own model classes behind this library's contracts: ``(x, t, cond) -> tensor`` and a codec."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.interop.diffusers.pipelines.starts import BESIDE, LEVEL

SCALE = "guidance_scale"
"""Condition: the guidance scale, for networks that are told it."""


@final
class Network(nn.Module):
    """A UNet2DModel or UNet2DConditionModel.

    It reads ``label``, ``text``, ``pooled`` and ``time_ids`` (micro-conditions), ``beside`` and the guidance scale where its
    config has them.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        config: Any = model.config
        self.takes_text = getattr(config, "cross_attention_dim", None) is not None
        self.takes_label = getattr(config, "num_class_embeds", None) is not None
        self.takes_micro = getattr(config, "addition_embed_type", None) == "text_time"
        self.scale_width = getattr(config, "time_cond_proj_dim", None)
        self.guides = nn.ModuleList()
        """change the arguments of each call of the model: ``(x, t, words, cond) -> words`` of control networks and the like"""

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        words: dict[str, Any] = {}
        if self.takes_text:
            words["encoder_hidden_states"] = told(cond, "text", "a prompt").to(x)
        if self.takes_label:
            words["class_labels"] = cond[LEVEL] if LEVEL in cond else told(cond, "label", "a label")
        if self.takes_micro:
            pooled, ids = told(cond, "pooled", "a prompt"), told(cond, "time_ids", "a prompt")
            words["added_cond_kwargs"] = {"text_embeds": pooled.to(x), "time_ids": ids.to(x)}
        if self.scale_width is not None:
            words["timestep_cond"] = scale_features(told(cond, SCALE, "guidance") - 1, self.scale_width).to(x)
        for guide in self.guides:
            words = guide(x, t, words, cond)
        if BESIDE in cond:
            x = torch.cat([x, cond[BESIDE].to(x)], 1)
        with unrecorded():
            return self.model(x, t, **words).sample


def unrecorded() -> AbstractContextManager[Any]:
    """For calls of a model: where nothing asks for gradients, without what autograd keeps of each operation.

    That is 3 to 11 % of a call of a small network.
    """
    return nullcontext() if torch.is_grad_enabled() else torch.inference_mode()


def told(cond: Cond, name: str, remedy: str) -> Tensor:
    """A condition that the network cannot do without.

    Raises:
        UsageError: it is not given.
    """
    if name not in cond:
        raise UsageError(f"this network is told '{name}' at every call; give {remedy}")
    return cond[name]


def scale_features(w: Tensor, width: int) -> Tensor:
    """sin and cos of 1000 w at ``width``/2 frequencies, as time is told: ``[B, width]``. Meng et al. 2023, 2210.03142."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(torch.tensor(10000.0).log() / (half - 1))).to(
        w.device
    )
    angles = 1000 * w.float()[:, None] * rates
    features = torch.cat([angles.sin(), angles.cos()], 1)
    return nn.functional.pad(features, (0, width % 2))


@final
class Autoencoder(Codec):
    """Pictures <-> latents of an AutoencoderKL: (z - shift) scale, z ~ q(z | x); both by channel where its config says so."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model
        config: Any = model.config
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is None or std is None:
            mean, std = [getattr(config, "shift_factor", None) or 0.0], [1.0]
        self.register_buffer("scale", config.scaling_factor / torch.tensor(std).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.reduction = 2 ** (len(config.block_out_channels) - 1)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        law = self.model.encode(x).latent_dist
        return (law.mean + law.std * rng.normal_like(law.mean) - self.shift) * self.scale

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.model.decode(state / self.scale + self.shift).sample.clamp(-1, 1)


@final
class HalfRange(Codec):
    """Pictures in [-1, 1] <-> states in [0, 1]: what the score-SDE pipelines were trained on."""

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return (x + 1) / 2

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return (2 * state - 1).clamp(-1, 1)
