"""The likelihood of a system: which estimator serves which data, and what the codec adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ornstein.codecs.vae import GaussianVAE
from ornstein.core import cond as conditions
from ornstein.core.errors import CapabilityError, DataError, UsageError, unknown
from ornstein.core.rng import Rng
from ornstein.likelihood.base import Estimator, measure
from ornstein.likelihood.chain import ChainBound
from ornstein.likelihood.decoder import Bins, Decoder
from ornstein.likelihood.dequantise import Dequantisation, Dequantised, Uniform
from ornstein.likelihood.jumps import JumpBound
from ornstein.likelihood.latent import LatentBound
from ornstein.likelihood.ode import ProbabilityFlow
from ornstein.likelihood.paths import PathWeights
from ornstein.likelihood.result import Likelihood, join
from ornstein.likelihood.vlb import VariationalBound
from ornstein.processes.base import Rate
from ornstein.processes.matrix import MatrixProcess

if TYPE_CHECKING:
    from ornstein.recipes.system import System

METHODS = ("ode", "vlb", "discrete")
BIN = 2 / 255
"""The distance of two bytes in the data's range [-1, 1]."""


@torch.no_grad()
def log_likelihood(
    system: System,
    x: Tensor,
    method: str,
    *,
    cond: Mapping[str, Tensor],
    steps: int | None,
    repeats: int,
    importance: bool,
    trace: Literal["exact", "hutchinson"] | None,
    tolerance: float,
    dequantise: str | Dequantisation | None,
    seed: int,
    batch: int,
    on_batch: Callable[[float], None] | None,
) -> Likelihood:
    """What :meth:`ornstein.recipes.system.System.log_likelihood` says, batch by batch."""
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if batch < 1:
        raise UsageError(f"batch must be at least 1, got {batch}")
    if not len(x):
        raise DataError("there is nothing to measure: no samples were given")
    if isinstance(system.codec, GaussianVAE) and dequantise is None and x.dtype == torch.uint8:
        dequantise = "uniform"  # its decoder has a density
    noise = _noise(dequantise, x, method)
    estimator = _estimator(system, x, method, steps, importance, trace, tolerance, continuous=noise is not None)
    if noise is not None:
        estimator = Dequantised(estimator, noise, lambda v: _from_bytes(system, v))
    system.modules.eval()
    device = system.device
    parts = []
    for start in range(0, len(x), batch):
        rows = x[start : start + batch].to(device)
        rng = Rng(range(seed + start, seed + start + len(rows)))
        given = conditions.to(conditions.rows(cond, slice(start, start + batch)), device)
        state, volume = (rows, None) if noise is not None else _state(system, rows, rng, given)
        found = measure(estimator, state, rng, given, repeats=repeats, importance=importance, method=method)
        nats = found.nats if volume is None else found.nats + volume
        parts.append(Likelihood(nats.cpu(), found.noise.cpu(), rows[0].numel(), method, found.bound))
        if on_batch is not None:
            on_batch(min(1.0, (start + batch) / len(x)))
    return join(parts)


def _noise(dequantise: str | Dequantisation | None, x: Tensor, method: str) -> Dequantisation | None:
    if isinstance(dequantise, str) and dequantise not in ("uniform", "none"):
        raise unknown("dequantisation", dequantise, ("uniform", "none"))
    if x.dtype != torch.uint8:
        if dequantise not in (None, "none"):
            raise DataError(f"dequantisation is for bytes (uint8), got {x.dtype}: leave dequantise out")
        return None
    if isinstance(dequantise, Dequantisation):
        return dequantise
    if dequantise == "none" and method == "ode":
        raise UsageError("bytes have no density; method 'ode' needs dequantise='uniform' or a learned one")
    return Uniform() if dequantise == "uniform" or (dequantise is None and method == "ode") else None


def _estimator(
    system: System,
    x: Tensor,
    method: str,
    steps: int | None,
    importance: bool,
    trace: Literal["exact", "hutchinson"] | None,
    tolerance: float,
    *,
    continuous: bool,
) -> Estimator:
    if isinstance(system.codec, GaussianVAE):
        if method != "vlb" or steps is not None:
            raise CapabilityError(f"'{system.recipe}' has a bound only: method 'vlb' without steps")
        if not continuous and not x.is_floating_point():
            raise UsageError(f"'{system.recipe}' has a density, bytes have none: leave dequantise at 'uniform'")
        return LatentBound(system.denoiser, system.codec)
    if method == "discrete" and x.is_floating_point():
        raise DataError(f"method 'discrete' takes states of a finite set, got {x.dtype}; use 'ode' or 'vlb'")
    if method == "ode":
        return ProbabilityFlow(system.denoiser, trace=trace, tolerance=tolerance, steps=steps)
    if trace is not None:
        raise UsageError(f"trace belongs to method 'ode', not to '{method}'")
    decoder: Decoder | None = None
    if x.dtype == torch.uint8 and not continuous and method == "vlb":
        if not system.codec.separable:
            raise UsageError(
                f"in the state of {type(system.codec).__name__} the bins of bytes are no boxes along its coordinates: "
                "give dequantise='uniform'"
            )
        scale = math.exp(float(system.codec.log_volume(x[:1].double())) / x[0].numel())
        decoder = Bins(BIN * scale, -scale, scale)
    if steps is None:
        if importance:
            raise UsageError(f"importance weights of method '{method}' are those of a chain: give steps")
        if method == "vlb":
            return VariationalBound(system.denoiser, decoder)
        if isinstance(system.process, MatrixProcess):  # it has no continuous time, but a chain of its own
            return ChainBound(system.denoiser, system.process.steps)
        return JumpBound(system.denoiser)
    if method == "discrete" and not isinstance(system.process, Rate | MatrixProcess):
        raise CapabilityError(
            f"method 'discrete' needs a process on a finite set; {type(system.process).__name__} is not. "
            "Use 'ode' or 'vlb'"
        )
    return (PathWeights if importance else ChainBound)(system.denoiser, steps, decoder)


def _state(system: System, x: Tensor, rng: Rng, cond: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """The state of the data; and log |d state / d data| where the data are continuous (a probability needs none)."""
    if isinstance(system.codec, GaussianVAE):
        if tuple(x.shape[1:]) != tuple(system.data_shape):
            raise DataError(f"this system's samples have shape {system.data_shape}, the data {tuple(x.shape[1:])}")
        return x, None
    state = system.codec.encode(x, rng, cond)
    _check_shape(system, state)
    return state, system.codec.log_volume(x) if x.is_floating_point() else None


def _from_bytes(system: System, values: Tensor) -> tuple[Tensor, Tensor]:
    """Dequantised bytes, in bins, as a state in the network's precision."""
    data = values * BIN - 1
    if isinstance(system.codec, GaussianVAE):  # its bound is on the data themselves
        dims, like = values[0].numel(), next(system.modules.parameters())
        return data.to(like.dtype), torch.full((len(data),), dims * math.log(BIN), dtype=torch.float64)
    volume = system.codec.log_volume(data) + values[0].numel() * math.log(BIN)
    dtype = next(system.modules.parameters()).dtype
    state = system.codec.encode(data.to(dtype), Rng([]))
    _check_shape(system, state)
    return state, volume


def _check_shape(system: System, state: Tensor) -> None:
    if tuple(state.shape[1:]) != tuple(system.shape):
        raise DataError(f"this system's samples have shape {tuple(system.shape)}, the data {tuple(state.shape[1:])}")
