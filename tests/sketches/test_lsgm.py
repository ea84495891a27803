r"""LSGM (Vahdat et al. 2021): a variational autoencoder and the score of its latents, trained together.

Two players on one batch. The codec's loss is the bound on -log p(x), E[-log p(x|z)] + E[log q(z|x)] + CE(q || p), whose
cross entropy goes through the score (their theorem 1); the prior's is plain denoising of the codec's draws. The data are
a mixture whose entropy is known: no bound may fall below it, and that of a good model is close to it.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs import Codec
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian, kl
from ornstein.core.loss import Loss
from ornstein.core.rng import Random, Rng, Stream
from ornstein.core.shapes import expand, sum_rest
from ornstein.denoisers import Preconditioned
from ornstein.denoisers.parametrizations import Parametrization, V
from ornstein.networks import MLP
from ornstein.objectives import Denoising, Times
from ornstein.processes import VP, Affine
from ornstein.samplers import Heun, simulate
from ornstein.testing import exact
from ornstein.training import Engine, OptimizerSpec, Stage, Update, fit
from sketches.draws import Draws

PROCESS = VP()
LOW, HIGH = -9.0, 7.0  # of the log-SNR; at HIGH the latents get their last noise
DATA = exact.mixture(
    PROCESS, [0.7, 0.3], [[-2.0, 1.0], [2.0, 0.0]], torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0.0], [0.0, 0.3]]])
)


class Levels(Times):
    """Uniform in log-SNR, stratified: with the weight of eps this is the likelihood's."""

    def __call__(self, rng: Random, n: int) -> Tensor:
        u = (rng.uniform((n,), dtype=torch.float64) + torch.arange(n)) / n
        return PROCESS.time(LOW + (HIGH - LOW) * u)


def eps_weight(process: Affine, parametrization: Parametrization, t: Tensor) -> Tensor:
    """The error of eps from that of the output."""
    return process.log_snr(t).exp() * parametrization.gain(process, t) ** 2


class VAE(Codec):
    """x -> q(z | x), diagonal; z -> N(mean, var), one var."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 2))
        self.log_var = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> Gaussian:
        """q(z | x)."""
        mean, log_var = self.encoder(x).chunk(2, 1)
        return Gaussian(mean, log_var.exp())

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.posterior(x).sample(rng)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.decoder(state)


class Bound:
    """The codec's loss; it goes through the score and leaves the score alone."""

    def __init__(self, codec: VAE, denoiser: Preconditioned):
        self.codec, self.denoiser = codec, denoiser

    def cross_entropy(self, z: Tensor, rng: Random) -> Tensor:
        r"""KL(q(z_1|z) || p(z_1)) + 1/2 int E|eps - eps_hat|^2 d log-SNR + D/2 log(2 pi e/SNR_max), ``[B]``, >= -log p(z)."""
        t, one = expand(Levels()(rng, len(z)), z), torch.ones((), dtype=torch.float64)
        z_t = PROCESS.marginal(z, t).sample(rng)
        error = PROCESS.eps(z_t, t, z) - PROCESS.eps(z_t, t, self.denoiser(z_t, t).mean)
        start = kl(PROCESS.marginal(z, PROCESS.time(LOW * one)), Gaussian(torch.zeros_like(z), torch.ones(())))
        end = z.shape[1] / 2 * (math.log(2 * math.pi * math.e) - HIGH)
        return start + (HIGH - LOW) / 2 * sum_rest(error**2) + end

    def each(self, x: Tensor, rng: Random) -> Tensor:
        """The bound on -log p(x), ``[B]``."""
        q = self.codec.posterior(x)
        z = q.sample(rng)
        seen = Gaussian(self.codec.decode(z), self.codec.log_var.exp())
        return -seen.log_prob(x) + q.log_prob(z) + self.cross_entropy(z, rng)

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        return Loss(self.each(batch.x, rng).mean())


class System(nn.Module):
    """Both players; under V a network that is zero at first makes the first prior N(0, I), as their mixed score does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.codec = VAE()
        self.denoiser = Preconditioned(MLP(size=2, width=64, depth=2), PROCESS, V())
        self.bound = Bound(self.codec, self.denoiser)
        denoising, spec = Denoising(self.denoiser, self.codec, Levels(), eps_weight), OptimizerSpec(lr=4e-3)
        self.updates = {
            "codec": Update(self.bound, list(self.codec.parameters()), spec),
            "prior": Update(denoising, list(self.denoiser.parameters()), spec),
        }

    def fit(self, players: tuple[str, ...], steps: int) -> System:
        data = Draws(lambda rng: DATA.sample(rng, 256).float())
        fit(self, [Stage("joint", data, [self.updates[p] for p in players], steps)], Engine())
        return self


@pytest.mark.parametrize(("player", "other"), [("codec", "prior"), ("prior", "codec")])
def test_each_loss_reaches_only_its_own_player(player: str, other: str) -> None:
    system = System().fit(("codec", "prior"), 3)
    before = [p.detach().clone() for p in system.updates[other].params]
    mine = [p.detach().clone() for p in system.updates[player].params]
    system.fit((player,), 3)
    loss = system.bound(Batch(DATA.sample(Stream(0), 256).float()), Stream(0)).value
    reached = torch.autograd.grad(loss, system.updates["prior"].params)
    assert all(bool((g != 0).any()) for g in reached)  # the codec's loss depends on the prior, or this would be empty
    assert all(torch.equal(p, old) for p, old in zip(system.updates[other].params, before, strict=True))
    assert not any(torch.equal(p, old) for p, old in zip(system.updates[player].params, mine, strict=True))


@torch.no_grad()
def mean_gap(system: System) -> tuple[float, float]:
    """How far the bound lies above the data's entropy, and the sampling error of that."""
    rng = Stream(3)
    each = [system.bound.each(x.float(), rng) + DATA.log_prob(x) for x in (DATA.sample(rng, 2000) for _ in range(100))]
    gaps = torch.stack(each).mean(1)
    return float(gaps.mean()), float(gaps.std()) / 10


def test_the_bound_approaches_the_entropy_and_samples_follow() -> None:
    joint, error = mean_gap(system := System().fit(("codec", "prior"), 800))
    alone, _ = mean_gap(System().fit(("codec",), 800))  # a plain VAE: the prior stays N(0, I)
    assert -4 * error < joint < 0.3 < alone
    start = PROCESS.prior((2000, 2)).sample(Rng(range(2000)))
    with torch.no_grad():
        x = system.codec.decode(simulate(Heun(system.denoiser), start, torch.linspace(1, 0, 41) ** 2, Rng(range(2000))))
    assert abs(float((x[:, 0] < 0).float().mean()) - 0.7) < 0.05
