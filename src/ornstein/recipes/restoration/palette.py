r"""Palette: one recipe for filling holes, uncropping, colouring and mending JPEGs; only what the network is told differs.

Filled-in pixels are noised alone, and known ones are shown as they are and come out so: the network predicts x_0 with known
pixels pasted in (:class:`ornstein.networks.pasted.Pasted`), under the weight that makes its loss that of eps, cut at SNR 5.
Differences from the paper: the mask is told as a channel, and so the hole holds 0 where the paper fills it with noise; a small
network of another family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0
from ornstein.measurements import JPEG, Grey, Mask
from ornstein.networks.pasted import Pasted
from ornstein.objectives.told import Told
from ornstein.objectives.weights import min_snr
from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.pictured import PicturedConfig, pictured
from ornstein.recipes.system import System

NAME = "known"
"""Of the condition: a picture, and a mask of its known pixels."""


@dataclass(frozen=True, kw_only=True)
class Palette(PicturedConfig):
    """The chain's fields, and the task."""

    task: Literal["inpainting", "uncropping", "colorization", "jpeg"] = "inpainting"
    quality: tuple[int, ...] = (5, 10, 20, 30)
    """of the JPEGs that training meets"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "colorization" and self.channels != 3:
            raise UsageError(f"colorization needs pictures of 3 channels, got {self.channels}")
        if not self.quality or not all(1 <= q <= 100 for q in self.quality):
            raise UsageError(f"the quality of JPEG lies in 1 .. 100, got {self.quality}")

    def told(self) -> Told:
        """What the network sees, of data and of measurements."""
        shape = (self.channels + 1, self.size, self.size)
        if self.task in ("inpainting", "uncropping"):
            return Told(NAME, shape, self._holed, _masked)
        return Told(NAME, shape, self._grey if self.task == "colorization" else self._jpeg, self._measured)

    def _holed(self, x: Tensor, rng: Random) -> Tensor:
        """A random box is hidden, from a quarter to three quarters of each side; or all but a half at a random side."""
        n, size = len(x), self.size
        if self.task == "uncropping":
            side, at = rng.integers(4, (n,)), torch.arange(size)
            near, far = at < size // 2, at >= size // 2
            masks = torch.stack([m for v in (near, far) for m in (v.expand(size, size), v[:, None].expand(size, size))])
            known = masks[side].float()
        else:
            reach = ((0.25 + 0.5 * rng.uniform((n, 2))) * size).round().clamp(1, size - 1)
            start = (rng.uniform((n, 2)) * (size - reach + 1)).floor()
            at = torch.arange(size)
            rows, columns = ((at >= start[:, i, None]) & (at < (start + reach)[:, i, None]) for i in (0, 1))
            known = 1 - (rows[:, :, None] & columns[:, None]).float()
        return torch.cat([x * known[:, None], known[:, None]], 1)

    def _grey(self, x: Tensor, rng: Random) -> Tensor:
        return _unknown(Grey()(x).expand_as(x))

    def _jpeg(self, x: Tensor, rng: Random) -> Tensor:
        which = rng.integers(len(self.quality), (len(x),))
        every = torch.stack([JPEG(q)(x) for q in self.quality])
        return _unknown(every[which, torch.arange(len(x))])

    def _measured(self, given: Measurement) -> Tensor:
        operator = given.operator
        fits = isinstance(operator, Grey) if self.task == "colorization" else isinstance(operator, JPEG)
        if not fits:
            raise CapabilityError(
                f"this model was trained for {self.task}, not for a {operator.name}. Methods that take others: ddrm, pigdm, dps"
            )
        return _unknown(given.y.float().expand(-1, self.channels, -1, -1))


def _unknown(picture: Tensor) -> Tensor:
    """A picture of which no pixel is known to be right."""
    return torch.cat([picture, torch.zeros_like(picture[:, :1])], 1)


def _masked(given: Measurement) -> Tensor:
    """The known pixels and their mask; what lies in the hole does not matter."""
    if not isinstance(given.operator, Mask) or given.noise > 0:
        raise CapabilityError(
            f"this model was trained to fill in what a mask hides, not for a {given.operator.name} with noise {given.noise:g}. "
            "Methods that take others: ddrm, pigdm, dps"
        )
    y = given.y.float()
    known = given.operator.known.float()
    if known.ndim == 3 and known.shape[0] > 1 and bool((known != known[:1]).any()):
        raise CapabilityError("this model was trained on masks that hide all channels of a pixel; ddrm takes others")
    known = known.reshape(-1, *known.shape[-2:])[:1].expand(len(y), 1, *y.shape[-2:])
    return torch.cat([y * known, known], 1)


@recipe(
    "palette",
    area="restoration",
    title="Palette: Image-to-Image Diffusion Models (Saharia et al. 2021)",
    paper="arxiv:2111.05826",
    claim="one conditional diffusion model, without a loss of the task's own, restores in four tasks where regressions blur",
    equations="y_t = m y_0 + (1 - m)(sqrt(gamma) y_0 + sqrt(1 - gamma) eps); loss on the hole, 1 - m; known pixels are put back "
    "at every step; colour and JPEG: m = 0",
    bibtex="@inproceedings{saharia2022palette, title={Palette: Image-to-Image Diffusion Models}, author={Saharia, Chitwan and "
    "Chan, William and Chang, Huiwen and Lee, Chris and Ho, Jonathan and Salimans, Tim and Fleet, David and Norouzi, "
    "Mohammad}, booktitle={SIGGRAPH}, year={2022}}",
)
def palette(c: Palette = Palette()) -> System:
    """The Palette system of one task: ``ornstein.restore`` with the task's operator."""
    system = pictured(c, "palette", c.told(), parametrization=X0(), weight=min_snr(5.0))
    denoiser = system.denoiser
    assert isinstance(denoiser, Preconditioned)
    denoiser.network = Pasted(denoiser.network, NAME)
    return system
