"""What the recipes of series share: the fields of their configs, training on windows, and the noise that is denoised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from ornstein.codecs.standard import Line, Standard
from ornstein.core.errors import UsageError
from ornstein.core.loss import Objective
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Clocked, EDMScaling, Eps
from ornstein.objectives.series.masks import MASKS, Masks, get_masks
from ornstein.objectives.times import DiscreteTimes, LogNormalSigma, Times
from ornstein.processes.base import Affine
from ornstein.processes.gaussian import EDM, VP
from ornstein.processes.schedules import Table
from ornstein.recipes.series.system import SeriesSystem
from ornstein.recipes.system import System
from ornstein.samplers.table import Choice, get
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import Decay, OptimizerSpec

Noise = Literal["levels", "chain"]


@dataclass(frozen=True, kw_only=True)
class SeriesConfig:
    """Fields that every recipe of series has. Those of the first part follow the data unless they are set."""

    columns: tuple[str, ...] = ("value",)
    """of values, in the order of the channels"""
    mean: tuple[float, ...] = ()
    """of each column over what was observed; 0 where not given"""
    std: tuple[float, ...] = ()
    step: float = 1.0
    """the usual distance of two time stamps, in seconds where they are dates"""
    rough: tuple[float, ...] = ()
    """of each column how far values lie from the line between their known neighbours, on the scale of columns of variance 1, at
    each of :data:`~ornstein.codecs.standard.DISTANCES`"""
    calendar: tuple[str, ...] = ()
    """features of the time stamps that the network sees: hour, weekday, yearday"""
    static: tuple[str, ...] = ()
    """places of the covariates that stay the same within a series"""
    static_mean: tuple[float, ...] = ()
    static_std: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()

    time: str = ""
    """the column of the time stamps (or year,month,day,hour); found by its name where empty"""
    series: str = ""
    """the column that tells series apart, where a file holds several"""
    covariates: tuple[str, ...] = ()
    """columns that stay the same within a series, numbers or texts"""
    label: str = ""
    """the column of the series' class"""

    window: int = 48
    """steps that the network sees at once"""
    batch: int = 16
    steps: int = 4000
    """training steps"""
    lr: float = 2e-3
    warmup: int = 100
    decay: Decay = "cosine"
    decay_steps: int = 4000
    weight_decay: float = 1e-6
    clip: float = 1.0
    ema_half_life: float = 8_000
    """in windows"""
    precision: Literal["bf16", "fp32"] = "bf16"
    """of the network in training"""

    def __post_init__(self) -> None:
        for name in ("batch", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.window < 4:
            raise UsageError(f"window must be at least 4 steps, got {self.window}")

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and steps of one window."""
        return len(self.columns), self.window

    @property
    def autocast(self) -> torch.dtype | None:
        """The network's precision in training."""
        return torch.bfloat16 if self.precision == "bf16" else None

    @property
    def told(self) -> dict[str, Any]:
        """Widths of the conditions that the network takes beside the values."""
        return {"calendar": 2 * len(self.calendar), "static": len(self.static), "classes": len(self.classes)}

    def anchor(self) -> Line | None:
        """A guess to which what is denoised is the difference, where there is one."""
        return None

    def codec(self) -> Standard:
        """Columns of mean 0 and variance 1."""
        k = len(self.columns)
        mean, std = self.mean or (0.0,) * k, self.std or (1.0,) * k
        if len(mean) != k or len(std) != k:
            raise UsageError(f"{k} columns need as many means and standard deviations, got {len(mean)} and {len(std)}")
        return Standard(mean, std)

    def optimizer(self) -> OptimizerSpec:
        """The optimiser that these fields describe."""
        return OptimizerSpec(
            lr=self.lr, warmup=self.warmup, decay=self.decay, decay_steps=self.decay_steps, clip=self.clip or None,
            weight_decay=self.weight_decay,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(SeriesConfig):
    """Series whose cells are denoised all at once."""

    noise: Noise = "levels"
    """"levels": any sigma, EDM's preconditioning, few deterministic steps; "chain": the paper's chain of ``chain`` betas with a
    prediction of the noise and ancestral steps"""
    sigma_min: float = 0.02
    sigma_max: float = 20.0
    sigma_data: float = 0.5
    p_mean: float = -1.2
    p_std: float = 1.5
    """ln sigma ~ N(p_mean, p_std^2) in training, for columns of variance 1"""
    chain: int = 50
    beta_1: float = 1e-4
    beta_T: float = 0.5
    betas: Literal["quadratic", "linear"] = "quadratic"
    """how the chain's betas grow: in their roots (Tashiro et al. 2021) or themselves"""
    sampling_steps: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1 or self.chain < 2:
            raise UsageError(
                f"sampling_steps must be at least 1 and chain at least 2, got {self.sampling_steps} and {self.chain}"
            )
        if self.noise not in ("levels", "chain"):
            raise UsageError(f"noise must be 'levels' or 'chain', got '{self.noise}'")

    def table(self) -> Table:
        """beta_n = (sqrt(beta_1) + (n - 1)/(T - 1) (sqrt(beta_T) - sqrt(beta_1)))^2, or linear."""
        power = 2.0 if self.betas == "quadratic" else 1.0
        ends = self.beta_1 ** (1 / power), self.beta_T ** (1 / power)
        return Table(torch.linspace(*ends, self.chain, dtype=torch.float64, device="cpu") ** power)

    def denoiser(self, network: nn.Module) -> Preconditioned:
        """The network as a denoiser of the chosen noise; it is told a clock of 0 .. 1000."""
        if self.noise == "levels":
            process: Affine = EDM(self.sigma_min, self.sigma_max)
            ends = process.log_snr(torch.tensor([1.0, process.t_min], dtype=torch.float64, device="cpu")).tolist()
            return Preconditioned(network, process, Clocked(EDMScaling(self.sigma_data), *ends))
        return Preconditioned(network, VP(self.table(), t_min=1 / self.chain), Eps())

    def times(self, denoiser: Preconditioned) -> Times:
        """The law of t in training."""
        if self.noise == "levels":
            return LogNormalSigma(denoiser.process, self.p_mean, self.p_std)
        return DiscreteTimes(self.chain)

    def sampler(self) -> tuple[Choice, str]:
        """The sampler, and its grid.

        The steps of some levels lie evenly in log sigma. A leap from sigma_max to twice the deviation of a cell, which serves
        single cells, loses a third of the variance that neighbouring cells share: a window of correlated cells varies along its
        first eigenvectors several times as much as a cell does.
        """
        return (get("dpmpp_2m"), "log_snr") if self.noise == "levels" else (get("ancestral"), "uniform")


@dataclass(frozen=True, kw_only=True)
class FillConfig(NoiseConfig):
    """Recipes that learn to fill gaps and to forecast by hiding what was observed."""

    task: Literal["impute", "forecast"] = "impute"
    horizon: int = 0
    """steps at the window's end that a forecast is about"""
    anchored: bool = True
    """denoise the difference to the interpolation of what is known, in units of ``rough``; the paper denoises the values"""
    sigma_data: float = 1.0
    sigma_min: float = 0.05
    p_mean: float = -0.3
    sampling_steps: int = 5
    lr: float = 4e-3
    masks: tuple[str, ...] = ("random", "segments", "blackout")
    """ways in which values are hidden in training to learn imputation; one is drawn for each window"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in ("impute", "forecast"):
            raise UsageError(f"task must be 'impute' or 'forecast', got '{self.task}'")
        if self.task == "forecast" and self.horizon == 0:
            raise UsageError("to forecast, say how many steps ahead: horizon, such as 24")
        if self.task == "forecast" and not 0 < self.horizon < self.window:
            raise UsageError(
                f"to forecast, the horizon must lie in 1 .. {self.window - 1}, below the window of {self.window} steps, got "
                f"{self.horizon}; ask for a shorter horizon, or a longer window (window=...)"
            )
        for name in self.masks:
            if name not in MASKS:
                raise UsageError(f"masks are some of {', '.join(MASKS)}, got '{name}'")

    def anchor(self) -> Line | None:
        """The line between what is known, where the config says ``anchored``."""
        return Line(self.rough) if self.anchored else None

    def hiding(self) -> Masks:
        """What is hidden in training: for a forecast the last steps, and in one of four windows cells anywhere, so that gaps
        in the past are met as well."""
        if self.task == "impute":
            return get_masks(self.masks)
        return get_masks(("forecast", "forecast", "forecast", "random"), self.horizon)


def one_stage(
    config: SeriesConfig, objective: Callable[[System], Objective]
) -> Callable[[System, Data], Iterator[Stage]]:
    """Training in a single stage: the denoiser's parameters on one objective."""

    def stages(system: System, data: Data) -> Iterator[Stage]:
        params = [p for p in system.denoiser.parameters() if p.requires_grad]
        yield Stage("denoiser", data, [Update(objective(system), params, config.optimizer())], config.steps)

    return stages


def denoised(
    recipe: str, c: NoiseConfig, network: nn.Module, objective: Callable[[Preconditioned, Standard], Objective]
) -> SeriesSystem:
    """The system of a network that denoises whole windows."""
    denoiser, codec = c.denoiser(network), c.codec()

    def training(system: System) -> Objective:
        denoiser.autocast = c.autocast
        return objective(denoiser, codec)

    choice, grid = c.sampler()
    return SeriesSystem(
        recipe=recipe,
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, training),
        sampler=choice,
        steps=c.sampling_steps,
        grid=grid,
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
