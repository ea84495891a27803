"""DDPM's claims: exact ancestral sampling of a Gaussian, and digits better than noise and than independent pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.codecs.base import Scale
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.data import Images, Loader, open_data
from ornstein.evaluation.frechet import frechet
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.system import System
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import uniform
from ornstein.training.fit import Engine, fit

CHAIN = 200
STEPS = 1500
SAMPLES = 500


def gaussian_errors(seed: int) -> dict[str, float]:
    """Relative errors of mean and variance after the paper's 1000 ancestral steps with the exact noise prediction."""
    mean, std = 0.7, 0.5
    process = VP(Table.linear(1000), t_min=1e-3)
    denoiser = ExactDenoiser(process, Mixture(torch.tensor([[mean]]), std))
    rng = Stream(seed)
    # With beta~ the exact posterior's variance would enter as well; "large" uses its mean alone, as of a network.
    sampler = Ancestral(denoiser, "large")
    x = rng.normal((100_000, 1), dtype=torch.float64)
    x = simulate(sampler, x, uniform(process, 1000), rng)
    return {
        "gaussian_mean_error": abs(float(x.mean()) / mean - 1),
        "gaussian_variance_error": abs(float(x.var()) / std**2 - 1),
    }


def train(images: Images, seed: int) -> System:
    """The recipe at 8 x 8 with a chain of 200 and 0.7 M parameters."""
    config = DDPM(
        size=8, channels=1, chain=CHAIN, sampling_steps=CHAIN, widths=(32, 64), blocks=1, patch=1, batch=64, steps=STEPS,
        decay="cosine", decay_steps=STEPS, ema_half_life=10_000,
    )  # fmt: skip
    torch.manual_seed(seed)
    system = ddpm(config)
    fit(
        system.modules,
        system.stages(Loader(images, config.batch, seed)),
        Engine(seed=seed, ema_half_life=config.ema_half_life),
    )
    return system


@torch.no_grad()
def noise_error(system: System, x_0: Tensor, rng: Stream) -> float:
    """E |eps - eps_theta|^2 per pixel on held-out images, t over the whole chain; predicting 0 scores 1."""
    t = expand((torch.arange(len(x_0)) % CHAIN + 1).double() / CHAIN, x_0)
    x_t = system.process.marginal(x_0, t).sample(rng)
    x_hat = system.denoiser(x_t, t).mean
    return float(((system.process.eps(x_t, t, x_hat) - system.process.eps(x_t, t, x_0)) ** 2).mean())


def classifier(x: Tensor, y: Tensor, seed: int) -> nn.Sequential:
    """A small convolutional network for the digits; all but its last layer are the features."""
    torch.manual_seed(seed + 500)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1, stride=2), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 16, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for epoch in range(6):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed + epoch))
        for rows in order.split(128):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval()


def kernel_mmd(a: Tensor, b: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of pixels, Gaussian kernel as wide as the median distance within ``b``."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    width = torch.pdist(b).median()

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return (-(torch.cdist(p, q) ** 2) / (2 * width**2)).exp()

    def within(p: Tensor) -> Tensor:
        return (kernel(p, p).sum() - len(p)) / (len(p) * (len(p) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def measure(seed: int) -> dict[str, float]:
    """Errors on the exact problem; loss, Frechet distance and MMD of digits beside those of two baselines."""
    found = gaussian_errors(seed)
    training, held_out = (open_data("digits", size=8, split=split) for split in ("train", "test"))
    codec, rng = Scale(), Stream(seed)
    x, test = (codec.encode(torch.from_numpy(i.x), rng) for i in (training, held_out))
    assert training.labels is not None and held_out.labels is not None  # the digits have labels
    system = train(training, seed)
    found["noise_error"] = noise_error(system, test, rng)
    net = classifier(x, torch.from_numpy(training.labels), seed)
    found["classifier_accuracy"] = float((net(test).argmax(1) == torch.from_numpy(held_out.labels)).double().mean())
    std, mean = torch.std_mean(x, 0)
    drawn = {
        "samples": system.sample(SAMPLES, seed=seed * SAMPLES, batch=250).tensor,
        "noise": rng.normal((SAMPLES, 1, 8, 8)).clamp(-1, 1),
        "pixelwise": (mean + std * rng.normal((SAMPLES, 1, 8, 8))).clamp(-1, 1),
        "training": x[:SAMPLES],
    }
    with torch.no_grad():
        features = net[:-1]
        for name, images in drawn.items():
            found[f"frechet_{name}"] = frechet(features(images), features(test))
            found[f"mmd_{name}"] = kernel_mmd(images, test)
    return found


_HALF = "at least half of the way from noise to the data"
_PIXELS = "independent Gaussian pixels have the right means and variances: only structure between pixels does better"

CHECK = Check(
    recipe="ddpm",
    paper="CIFAR-10: FID 3.17, Inception score 9.46, at most 3.75 bits per dimension, with 1000 network evaluations",
    claim="with the exact noise prediction the chain draws a Gaussian's mean and variance; trained for minutes on 8 x 8 digits "
    "(T = 200) it predicts the noise well and its samples are closer to held-out digits than noise or independent pixels",
    conditions=(
        Condition(
            "gaussian_mean_error", "<", 0.02, "100,000 draws have a standard error of 0.2 %; the rest is the chain's"
        ),
        Condition(
            "gaussian_variance_error", "<", 0.02, "standard error 0.45 %; the chain of 1000 steps adds less than 1 %"
        ),
        Condition(
            "noise_error", "<", 1 / 3, "predicting 0 scores 1; three times better shows that structure was learned"
        ),
        Condition("frechet_samples", "<", "frechet_noise", _HALF, 0.5),
        Condition("frechet_samples", "<", "frechet_pixelwise", _PIXELS),
        Condition("mmd_samples", "<", "mmd_noise", _HALF, 0.5),
        Condition("mmd_samples", "<", "mmd_pixelwise", _PIXELS),
    ),
    measure=measure,
)
