"""diffusers' own model classes behind this library's contracts: ``(x, t, cond) -> tensor`` and a codec."""

from __future__ import annotations

from typing import Any, final

from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random


@final
class Network(nn.Module):
    """A UNet2DModel or UNet2DConditionModel; it reads ``label`` or ``text`` where its config has them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        config: Any = model.config
        self.takes_text = getattr(config, "cross_attention_dim", None) is not None
        self.takes_label = getattr(config, "num_class_embeds", None) is not None

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        words: dict[str, Tensor] = {}
        if self.takes_text:
            if "text" not in cond:
                raise UsageError("this network is told a text at every call; give a prompt")
            words["encoder_hidden_states"] = cond["text"].to(x)
        if self.takes_label:
            if "label" not in cond:
                raise UsageError("this network is told a class at every call; give a label")
            words["class_labels"] = cond["label"]
        return self.model(x, t, **words).sample


@final
class Autoencoder(Codec):
    """Pictures <-> latents of an AutoencoderKL: (z - shift) scale, z ~ q(z | x)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model
        config: Any = model.config
        self.scale = float(config.scaling_factor)
        self.shift = float(getattr(config, "shift_factor", None) or 0.0)
        self.reduction = 2 ** (len(config.block_out_channels) - 1)

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        law = self.model.encode(x).latent_dist
        return (law.mean + law.std * rng.normal_like(law.mean) - self.shift) * self.scale

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.model.decode(state / self.scale + self.shift).sample.clamp(-1, 1)
