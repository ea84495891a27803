"""The two players of adversarial score matching: what each loss is, whom it moves, and what the adversary sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ornstein.codecs.base import Identity
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Stream
from ornstein.denoisers import Eps, Preconditioned, ScoreOut
from ornstein.networks.discriminator import Discriminator
from ornstein.objectives.adversarial_score import AdversarialScore, ScoreAdversary
from ornstein.objectives.times import ListedTimes
from ornstein.processes import EDM
from ornstein.processes.heavy_tailed import HeavyTailedVE

TIMES = ListedTimes(torch.tensor([0.5, 0.1]))


class Gain(nn.Module):
    """out = w x: the score times sigma of some Gaussian."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(-0.4))

    def forward(self, x: Tensor, t: Tensor, cond: object = None) -> Tensor:
        return self.w * x


class Judge(nn.Module):
    """D(x) = a mean(x) + b, and a record of what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(0.1))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.a * x.flatten(1).mean(1) + self.b


def players(weight: float = 1.0, bound: float | None = 1.0) -> tuple[Gain, Judge, AdversarialScore, ScoreAdversary]:
    network, judge = Gain(), Judge()
    denoiser = Preconditioned(network, EDM(0.02, 2.0), ScoreOut())
    return (
        network,
        judge,
        AdversarialScore(denoiser, judge, Identity(), TIMES, weight=weight, bound=bound),
        ScoreAdversary(denoiser, judge, Identity(), TIMES, bound=bound),
    )


def test_both_losses_are_those_of_the_paper() -> None:
    network, judge, player, adversary = players()
    x_0 = Stream(0).uniform((500, 6)) * 2 - 1
    # The same draws, written out: times first, then the noise.
    rng = Stream(1)
    sigma = (2 * TIMES(rng, 500)).float()[:, None]
    z = rng.normal((500, 6))
    x_t = x_0 + sigma * z
    out = network.w.detach() * x_t
    h = (x_t + sigma * out).clamp(-1, 1)  # x + sigma^2 score
    d = lambda x: 0.3 * x.mean(1) + 0.1  # noqa: E731
    score = (0.5 * ((out + z) ** 2).sum(1) + (d(h) - 1) ** 2).mean()
    torch.testing.assert_close(player(Batch(x_0), Stream(1)).value, score, rtol=1e-5, atol=1e-6)
    opposed = ((d(x_0) - 1) ** 2 + (d(h) + 1) ** 2).mean()
    torch.testing.assert_close(adversary(Batch(x_0), Stream(1)).value, opposed, rtol=1e-5, atol=1e-6)
    # It was shown data and denoised points within the range, never the noisy ones.
    assert len(judge.seen) == 3 and all(float(x.abs().max()) <= 1 for x in judge.seen)
    assert float(x_t.abs().max()) > 1


def test_each_player_moves_its_own_parameters() -> None:
    network, judge, player, adversary = players()
    batch = Batch(Stream(0).uniform((50, 6)))
    adversary(batch, Stream(1)).value.backward()
    assert network.w.grad is None and judge.a.grad is not None
    alone = players(weight=0.0)
    gradients = []
    for net, _, loss, _ in ((network, judge, player, adversary), alone):
        (g,) = torch.autograd.grad(loss(batch, Stream(1)).value, [net.w])
        gradients.append(float(g))
    assert gradients[0] != pytest.approx(gradients[1], rel=1e-4)  # the adversary's opinion reaches the network


def test_the_discriminator_is_bounded_in_its_slope() -> None:
    torch.manual_seed(0)
    network = Discriminator(channels=1, widths=(8, 16)).eval()
    x = torch.randn(20, 1, 8, 8)
    y = x + 1e-2 * torch.randn_like(x)
    with torch.no_grad():
        slope = (network(x) - network(y)).abs() / (x - y).flatten(1).norm(dim=1)
    # Every layer has norm near 1 as a matrix of its kernel; strided taps overlap by at most 2 each way, so 4 a layer.
    assert slope.shape == (20,) and float(slope.max()) < 4**3 * 2


def test_bad_players_are_refused() -> None:
    network, judge = Gain(), Judge()
    denoiser = Preconditioned(network, EDM(), ScoreOut())
    with pytest.raises(UsageError, match="adversary's weight must be at least 0, got -1"):
        AdversarialScore(denoiser, judge, Identity(), TIMES, weight=-1.0)
    with pytest.raises(UsageError, match="bound limits"):
        ScoreAdversary(denoiser, judge, Identity(), TIMES, bound=0.0)
    with pytest.raises(UsageError, match="cond_dropout"):
        ScoreAdversary(denoiser, judge, Identity(), TIMES, cond_dropout=1.0)
    other = Preconditioned(network, HeavyTailedVE(), Eps())
    with pytest.raises(CapabilityError, match="need a Gaussian process; HeavyTailedVE is not"):
        AdversarialScore(other, judge, Identity(), TIMES)
    with pytest.raises(UsageError, match=r"at least 8 x 8 pixels, got \(1, 4, 4\)"):
        Discriminator(channels=1)(torch.zeros(1, 1, 4, 4))
    with pytest.raises(UsageError, match="positive channels and widths"):
        Discriminator(channels=1, widths=())
