r"""How an autoencoder for latent diffusion is trained: pixels, perception, a regulariser, and a critic of patches.

Rombach et al. 2022 (2112.10752), appendix G; Esser et al. 2021 (2012.09841).
"""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.codecs.autoencoder import Autoencoder
from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.objectives.followers import Counter
from ornstein.objectives.perceptual import Distance

LARGEST = 1e4
"""Of the adaptive weight."""


@final
class Spread(nn.Module):
    """s, the logarithm of the pixels' scale: learned with the autoencoder, of no use afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))


@final
class Autoencoding:
    r"""sum_pixels [(|x - x^| + w_p P(x, x^)) e^{-s} + s] + w_reg R + d g, per image; g = -mean D(x^) from call ``start`` on.

    P is a perceptual distance, R the codec's regulariser, D the critic. d = w_g |grad R_rec| / (|grad g| + 1e-4), at most 1e4
    w_g, gradients at the decoder's last layer: so the critic pulls as strongly as the reconstruction whatever their units.
    """

    def __init__(
        self,
        codec: Autoencoder,
        spread: Spread,
        critic: nn.Module,
        perceptual: Distance | None,
        *,
        calls: Counter,
        regulariser_weight: float,
        perceptual_weight: float = 1.0,
        critic_weight: float = 0.5,
        start: int = 0,
        autocast: torch.dtype | None = None,
    ):
        if min(regulariser_weight, perceptual_weight, critic_weight) < 0:
            raise UsageError("weights of an autoencoder's losses must be at least 0")
        self.codec, self.spread, self.critic, self.perceptual = codec, spread, critic, perceptual
        self.calls, self.start, self.autocast = calls, start, autocast
        self.regulariser_weight, self.perceptual_weight = regulariser_weight, perceptual_weight
        self.critic_weight = critic_weight
        self._last: tuple[Batch[Any] | None, Tensor | None] = (None, None)

    @property
    def criticised(self) -> bool:
        """Whether the critic counts by now."""
        return self.critic_weight > 0 and int(self.calls.count) > self.start

    def reconstruct(self, x: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """The codec's reconstruction of floats and its regulariser, in the precision of training."""
        with torch.autocast(x.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self.codec.reconstruct(x, rng)

    def reconstruction(self, batch: Batch[Any], rng: Random) -> Tensor:
        """That of the last call if it was on this batch, else a new one; without gradients."""
        last, found = self._last
        if last is batch and found is not None:
            return found
        with torch.no_grad():
            return self.reconstruct(self.codec.floats(batch.x, rng), rng)[0]

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        self.calls.next()
        x = self.codec.floats(batch.x, rng)
        y, regulariser = self.reconstruct(x, rng)
        self._last = (batch, y.detach())
        pixels = x[0].numel()
        error = sum_rest((x - y).abs())
        logs = {"pixel_error": float(error.detach().mean()) / pixels}
        if self.perceptual is not None and self.perceptual_weight:
            seen = self.perceptual(x, y)
            error = error + self.perceptual_weight * pixels * seen
            logs["perceptual"] = float(seen.detach().mean())
        reconstruction = (error * (-self.spread.log).exp()).mean() + pixels * self.spread.log
        value = reconstruction + self.regulariser_weight * regulariser.mean()
        logs["regulariser"] = float(regulariser.detach().mean())
        if self.criticised:
            fooled = -self.critic(y).mean()
            weight = self.adaptive(reconstruction, fooled)
            logs |= {"fooled": float(fooled.detach()), "adaptive_weight": float(weight)}
            value = value + weight * fooled
        return Loss(value / pixels, logs)

    def adaptive(self, reconstruction: Tensor, fooled: Tensor) -> Tensor:
        """d."""
        last: nn.Parameter = self.codec.decoder.last.weight  # type: ignore[union-attr, assignment]
        norms = [torch.autograd.grad(v, last, retain_graph=True)[0].norm() for v in (reconstruction, fooled)]
        return (norms[0] / (norms[1] + 1e-4)).clamp(0, LARGEST).detach() * self.critic_weight


@final
class PatchCriticising:
    """(1/2) E [max(0, 1 - D(x)) + max(0, 1 + D(x^))] for the critic, from the call on at which it counts; 0 before."""

    def __init__(self, autoencoding: Autoencoding):
        self.autoencoding = autoencoding

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        critic = self.autoencoding.critic
        if not self.autoencoding.criticised:
            idle = torch.stack([p.sum() for p in critic.parameters()]).sum() * 0.0
            return Loss(idle)
        real = self.autoencoding.codec.floats(batch.x, rng)
        fake = self.autoencoding.reconstruction(batch, rng)
        value = 0.5 * (F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean())
        return Loss(value, {"critic": float(value.detach())})
