"""The baselines as codecs of N(0, I): volumes, bounds, two players, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs.flow import Flow
from ornstein.codecs.generator import Generator
from ornstein.codecs.vae import GaussianVAE
from ornstein.core.batch import Batch
from ornstein.core.bijection import Bijection
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.data import open_data
from ornstein.denoisers.standard_normal import StandardNormal
from ornstein.likelihood.base import measure
from ornstein.likelihood.latent import LatentBound
from ornstein.networks.convolutional import ConvDecoder, ConvEncoder
from ornstein.networks.glow import ActNorm, Coupling, Glow, Mixing, VectorFlow
from ornstein.objectives.adversarial import Criticising, Generating
from ornstein.objectives.evidence import EvidenceBound, ExactLikelihood
from ornstein.objectives.followers import Counter
from ornstein.recipes.drawn import Drawn
from ornstein.testing.conformance import check_codec

SMALL: dict[str, Any] = {"size": 8, "channels": 1, "batch": 8}


def shaken(network: nn.Module, amount: float = 0.1) -> nn.Module:
    """Zero-initialised layers would hide what they do."""
    with torch.no_grad():
        for p in network.parameters():
            p += amount * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
    return network


def flows() -> list[tuple[Bijection, Tensor]]:
    torch.manual_seed(0)
    glow, vector = Glow(channels=1, size=8, scales=3, depth=2, width=8), VectorFlow(5, depth=3, width=8)
    return [(glow, torch.rand(3, 1, 8, 8) - 0.5), (vector, torch.randn(3, 5))]


@pytest.mark.parametrize("i", [0, 1])
def test_a_flow_inverts_and_knows_its_volume(i: int) -> None:
    flow, x = flows()[i]
    shaken(flow).double()
    x = x.double()
    u, volume = flow(x)
    assert u.shape == (3, x[0].numel())
    torch.testing.assert_close(flow.inverse(u), x, rtol=0, atol=1e-10)
    for row in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda v: flow(v)[0], x[row : row + 1])  # type: ignore[no-untyped-call]
        exact = torch.linalg.slogdet(jacobian.reshape(u.shape[1], -1))[1]
        torch.testing.assert_close(volume[row], exact, rtol=0, atol=1e-9)


def test_a_flow_is_a_codec() -> None:
    flow, x = flows()[0]
    check_codec(Flow(shaken(flow, 0.05)), x, atol=1e-4)  # type: ignore[arg-type]


def test_scales_are_set_by_data_once_and_not_when_sampling() -> None:
    torch.manual_seed(0)
    glow = Glow(channels=1, size=8, depth=1, width=8)
    x = 3 + 2 * torch.randn(64, 1, 8, 8)
    glow(x)
    assert not bool(glow.ready)
    glow.initialise(x)
    first = next(m for m in glow.modules() if isinstance(m, ActNorm))
    y, _ = first(torch.nn.functional.pixel_unshuffle(x, 2))
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(4), rtol=0, atol=1e-3)


def test_bits_of_the_objective_are_those_of_the_likelihood() -> None:
    """The training loss, and the likelihood's own path: uniform noise, the exact flow of N(0, I), the codec's volume."""
    system = ornstein.build("baseline-flow", settings=SMALL | {"depth": 1, "width": 8})
    codec = system.codec
    assert isinstance(codec, Flow)
    shaken(codec.bijection, 0.05)
    x = torch.randint(0, 256, (64, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        loss = ExactLikelihood(codec)(Batch(x), Stream(0))
    assert system.log_likelihood(x).bits_per_dim == pytest.approx(loss.logs["bits_per_dim"], abs=0.02)


def test_the_probability_flow_of_a_flow_adds_nothing() -> None:
    system = ornstein.build("baseline-flow", settings=SMALL | {"depth": 1, "width": 8})
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    found = system.log_likelihood(x, "ode").nats
    u = system.codec.encode(x, Rng([]))
    exact = -0.5 * u.double().square().sum(1) - 32 * math.log(2 * math.pi) + system.codec.log_volume(x)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0.05)


class Shift(nn.Module):
    """x -> (x, l): a posterior of constant variance about the data themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0.5 * x, torch.full_like(x, math.log(0.5))], 1)


def test_the_evidence_bound_is_exact_where_the_posterior_is() -> None:
    """x = z + eps, both N(0, 1): the posterior is N(x/2, 1/2), and log p(x) = log N(x; 0, 2)."""
    codec = GaussianVAE(Shift(), nn.Identity())
    x = torch.linspace(-2, 2, 5)[:, None]
    found = measure(LatentBound(StandardNormal(), codec), x, Stream(0), repeats=3)
    exact = -0.25 * x.double()[:, 0] ** 2 - 0.5 * math.log(4 * math.pi)
    torch.testing.assert_close(found.nats, exact, rtol=0, atol=1e-5)
    assert float(found.noise.max()) < 1e-5
    loss = -sum(float(EvidenceBound(codec)(Batch(x), Stream(s)).value.detach()) for s in range(400)) / 400
    assert loss == pytest.approx(float(exact.mean()), abs=0.05)


def test_importance_weights_tighten_the_bound_of_images() -> None:
    torch.manual_seed(0)
    system = ornstein.build("baseline-vae", settings=SMALL | {"latents": 4, "widths": (8,)})
    x = torch.from_numpy(open_data("digits", size=8).x[:16].copy())
    one = system.log_likelihood(x, "vlb", repeats=20)
    many = system.log_likelihood(x, "vlb", repeats=20, importance=True)
    assert bool((many.nats >= one.nats - 1e-9).all()) and one.bound


def test_the_best_critic_is_the_log_ratio() -> None:
    """Stationary at D = log p_data/p_draws: the loss' derivative along any direction vanishes there."""

    class Ratio(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.tensor(0.0))

        def forward(self, x: Tensor) -> Tensor:
            exact = 0.5 * x[:, 0] ** 2 - 0.5 * (x[:, 0] - 1) ** 2  # N(1, 1) against N(0, 1)
            return exact + self.a * x[:, 0]

    class Noise(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z

    critic = Ratio()
    objective = Criticising(critic, Generator(Noise(), 1), 1, bounded=False)
    x = 1 + Stream(1).normal((200_000, 1))
    (slope,) = torch.autograd.grad(objective(Batch(x), Stream(2)).value, critic.a)
    assert abs(float(slope)) < 5e-3
    for a in (-0.2, 0.2):
        with torch.no_grad():
            critic.a.fill_(a)
        (slope,) = torch.autograd.grad(objective(Batch(x), Stream(2)).value, critic.a)
        assert float(slope) * a > 0.2 * 0.02


def test_the_penalty_is_that_of_a_known_slope_and_taken_lazily() -> None:
    critic, calls = nn.Linear(3, 1), Counter()
    generator = Generator(nn.Linear(2, 3), 2)
    penalised = Criticising(critic, generator, 2, gamma=2.0, every=3, calls=calls)
    plain = Criticising(critic, generator, 2)
    batch = Batch(torch.rand(5, 3) - 0.5)
    extra = [float((penalised(batch, Stream(7)).value - plain(batch, Stream(7)).value).detach()) for _ in range(4)]
    wanted = 0.5 * 2.0 * 3 * float(critic.weight.detach().square().sum())
    assert extra == pytest.approx([wanted, 0, 0, wanted], abs=1e-5) and int(calls.count) == 4


def test_each_player_moves_its_own_weights_only(tmp_path: Path) -> None:
    settings = SMALL | {"widths": (8,), "critic_widths": (8,), "latents": 4}
    system = ornstein.build("baseline-gan", settings=settings)
    critic, codec = system.extra["critic"], system.codec
    first, second = next(system.stages(None)).updates  # type: ignore[arg-type]
    assert {id(p) for p in first.params} == {id(p) for p in critic.parameters()}
    assert {id(p) for p in second.params} == {id(p) for p in codec.parameters()}
    assert isinstance(second.objective, Generating)


def test_steps_and_samplers_change_no_sample_and_one_call_is_counted() -> None:
    system = ornstein.build("baseline-vae", settings=SMALL | {"widths": (8,)})
    one, three = (system.sample(2, seed=4, steps=n).tensor for n in (1, 3))
    torch.testing.assert_close(one, three, rtol=0, atol=1e-4)
    drawn = Drawn(system, 3)
    assert drawn.shape == (1, 8, 8) and drawn[0:3].x.shape == (3, 1, 8, 8) and drawn.evaluations == 1.0


@pytest.mark.parametrize("t,s", [(1.0, 0.0), (0.7, 0.2), (0.5, 0.5)])
def test_the_mean_velocity_of_a_standard_normal(t: float, s: float) -> None:
    """x_t/s_t is kept along the flow."""
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    root = lambda v: math.sqrt((1 - v) ** 2 + v**2)  # noqa: E731
    u = StandardNormal().average(x, torch.tensor(t), torch.tensor(s))
    torch.testing.assert_close(x - (t - s) * u, x * root(s) / root(t), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("baseline-gan", {"size": 10}, r"size 10 cannot be halved 2 times.*multiple of 4"),
        ("baseline-gan", {"gamma": -1.0}, "gamma must be at least 0"),
        ("baseline-gan", {"rule": "wasserstein"}, "rule must be one of 'non_saturating', 'hinge'"),
        ("baseline-gan", {"latents": 0}, "latents must be at least 1"),
        ("baseline-vae", {"latents": 0}, "latents must be at least 1"),
        ("baseline-vae", {"beta": -1.0}, "weight, free and warmup must be at least 0"),
        ("baseline-flow", {"size": 10, "scales": 2}, "size 10 cannot be halved 2 times"),
        ("baseline-flow", {"depth": 0}, "depth must be at least 1"),
    ],
)
def test_what_cannot_be_meant(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        next(ornstein.build(name, settings=SMALL | settings).stages(None))  # type: ignore[arg-type]


def test_what_is_refused() -> None:
    gan = ornstein.build("baseline-gan", settings=SMALL | {"widths": (8,)})
    with pytest.raises(UsageError, match=r"takes \[B, 64\] latents, got \(2, 5\)"):
        gan.codec.decode(torch.zeros(2, 5))
    with pytest.raises(CapabilityError, match="no encoder"):
        gan.codec.encode(torch.zeros(2, 1, 8, 8), Rng([0, 1]))
    with pytest.raises(UsageError, match="no denoiser to guide"):
        gan.sample(1, guidance=2.0)
    with pytest.raises(DataError, match=r"reach 3, and a generator that ends in tanh stays within \[-1, 1\]"):
        next(gan.stages(None)).updates[0].objective(Batch(torch.full((2, 1, 8, 8), 3.0)), Stream(0))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="3 is odd"):
        Coupling(3, 8)
    with pytest.raises(DataError, match="integers have no density"):
        EvidenceBound(GaussianVAE(Shift(), nn.Identity()))(Batch(torch.zeros(2, 1, dtype=torch.int64)), Stream(0))
    vae = ornstein.build("baseline-vae", settings=SMALL | {"widths": (8,)})
    with pytest.raises(CapabilityError, match="a bound only: method 'vlb'"):
        vae.log_likelihood(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_log_variances_are_bounded() -> None:
    codec = GaussianVAE(nn.Linear(2, 4), nn.Linear(2, 2))
    with torch.no_grad():
        codec.encoder.weight.fill_(1e6)  # type: ignore[union-attr, operator]
    q = codec.posterior(torch.ones(1, 2))
    assert float(q.var.detach().max()) == pytest.approx(math.exp(10))


def test_networks_have_the_shapes_they_say() -> None:
    encoder = ConvEncoder(channels=3, size=16, out=5, widths=(4, 8), activation="leaky_relu")
    decoder = ConvDecoder(width=5, channels=3, size=16, widths=(4, 8), normalise=True)
    x = decoder(encoder(torch.zeros(2, 3, 16, 16)))
    assert x.shape == (2, 3, 16, 16) and float(x.detach().abs().max()) < 1


def test_a_vector_flow_sees_what_changes_within_a_tenth() -> None:
    """A shift by sin(6 pi x_a) of 256 points is learned in 150 steps; from x_a alone it is not."""
    errors = []
    for waves in (12, 0):
        torch.manual_seed(0)
        flow = VectorFlow(2, depth=1, waves=waves)
        mixing = flow.mixings[0]
        assert isinstance(mixing, Mixing)
        mixing.requires_grad_(False)
        x = torch.rand(256, 2) * 2 - 1
        turned = x @ mixing.weight().T
        target = torch.cat([turned[:, :1], turned[:, 1:] + torch.sin(6 * torch.pi * turned[:, :1])], 1)
        optimiser = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(150):
            optimiser.zero_grad()
            error = (flow(x)[0] - target).square().mean()
            error.backward()
            optimiser.step()
        errors.append(float(error.detach()))
    assert errors[0] < 0.02 < 0.1 < errors[1], errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "at least 2 coordinates, got 1"),
        ({"size": 2, "depth": 0}, "depth must be at least 1, got 0"),
        ({"size": 2, "waves": -1}, "waves must be at least 0, got -1"),
    ],
)
def test_vector_flows_that_cannot_be_meant(settings: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VectorFlow(**settings)
