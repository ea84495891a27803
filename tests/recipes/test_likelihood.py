"""The likelihood of a system: the codec's part, the routes, the refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import ornstein
from ornstein.codecs.base import Codec, Identity, Scale
from ornstein.codecs.bases import Cosines, Haar
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical
from ornstein.core.errors import CapabilityError, DataError, OrnsteinError, UsageError
from ornstein.core.rng import Random, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.categorical import log_likelihood
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes import EDM, CategoricalProcess, FlowMatching
from ornstein.processes.matrix import MatrixProcess
from ornstein.recipes.system import System
from ornstein.samplers import get
from ornstein.testing import exact

LN2 = math.log(2)


def system(problem: Any, codec: Codec, classes: tuple[str, ...] = ()) -> System:
    """A system with an exact denoiser; one parameter says where it lives."""
    denoiser = problem.denoiser
    denoiser.register_parameter("anchor", torch.nn.Parameter(torch.zeros((), dtype=torch.float64)))
    return System(
        recipe="exact",
        config=None,
        codec=codec,
        denoiser=denoiser,
        shape=problem.shape,
        training=lambda s, d: iter(()),
        sampler=get("ddim"),
        steps=10,
        classes=classes,
    )


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_the_density_is_that_of_the_data_not_of_the_state(scale: float) -> None:
    """Data N(0.2, 0.3) arrive at the diffusion times ``scale``: the same likelihood whatever the scale."""
    problem = exact.gaussian(FlowMatching(), torch.full((2, 2), 0.2 * scale), 0.3 * scale**2)
    data = exact.gaussian(FlowMatching(), torch.full((2, 2), 0.2), 0.3)
    x = data.sample(Stream(0), 20)
    found = system(problem, Scale(scale)).log_likelihood(x, tolerance=1e-6)
    torch.testing.assert_close(found.nats, data.log_prob(x), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("codec", "shape"), [(Cosines(), (1, 2, 2)), (Haar(), (4, 1, 1))])
def test_an_orthonormal_basis_leaves_the_density_alone(codec: Codec, shape: tuple[int, ...]) -> None:
    """Pixels N(0, 0.3) have coefficients N(0, 0.3); bins of bytes are refused, for they are no boxes of coefficients."""
    built = system(exact.gaussian(FlowMatching(), torch.zeros(shape), 0.3), codec)
    data = exact.gaussian(FlowMatching(), torch.zeros(1, 2, 2), 0.3)
    x = data.sample(Stream(0), 20)
    torch.testing.assert_close(built.log_likelihood(x, tolerance=1e-6).nats, data.log_prob(x), atol=1e-3, rtol=0)
    bytes_ = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(UsageError, match="dequantise='uniform'"):
        built.log_likelihood(bytes_, "vlb")
    assert bool(built.log_likelihood(bytes_, "vlb", steps=5, dequantise="uniform").nats.isfinite().all())


@pytest.mark.parametrize("options", [{}, {"method": "vlb", "dequantise": "uniform", "repeats": 30}])
def test_bytes_are_bounded_by_their_probability(options: dict[str, Any]) -> None:
    """Bins of 1/255 on a law far wider than them: the bound is all but tight."""
    problem = exact.gaussian(EDM(sigma_max=500.0), torch.full((1, 2, 2), 0.1), 0.02)
    x = ((problem.sample(Stream(0), 300) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    truth = float((problem.log_prob(x.double() / 127.5 - 1) + 4 * math.log(2 / 255)).mean())
    found = system(problem, Scale()).log_likelihood(x, **options)
    room = 4 * found.noise_stderr if options else 0.0  # the flow alone draws nothing but the bytes' noise
    assert found.bound and found.bits_per_dim == pytest.approx(-truth / (4 * LN2), abs=0.03 + room)


def test_bytes_through_the_decoder() -> None:
    problem = exact.gaussian(EDM(sigma_max=500.0), torch.full((1, 2, 2), 0.1), 0.02)
    x = ((problem.sample(Stream(0), 300) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    truth = float((problem.log_prob(x.double() / 127.5 - 1) + 4 * math.log(2 / 255)).mean()) / (4 * LN2)
    found = system(problem, Scale()).log_likelihood(x, "vlb", repeats=30)
    gap = found.bits_per_dim + truth
    # A denoiser of the density knows nothing of bins: the last noise, a quarter of a bin, costs a fifth of a bit.
    assert -4 * found.noise_stderr < gap < 0.3
    chain = system(problem, Scale()).log_likelihood(x, "vlb", steps=200, repeats=30)
    assert chain.bits_per_dim + truth > -4 * chain.noise_stderr


class Words(Codec):
    """Integers, as they are."""

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return x

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return state


def test_discrete_states() -> None:
    problem = exact.categorical(CategoricalProcess.absorbing(4), torch.tensor([[1.0, 2, 3, 0], [3, 1, 1, 0]]))
    x = problem.sample(Stream(0), 200)
    built = system(problem, Words())
    truth = -float(problem.log_prob(x).mean()) / (2 * LN2)
    for options in ({"repeats": 50}, {"repeats": 50, "steps": 8}, {"repeats": 2, "steps": 4, "importance": True}):
        found = built.log_likelihood(x, "discrete", **options)
        assert found.bits_per_dim == pytest.approx(truth, abs=4 * found.noise_stderr + 1e-6)
    with pytest.raises(
        CapabilityError, match=r"ProbabilityFlow needs .* Affine; CategoricalProcess is not.*'discrete'"
    ):
        built.log_likelihood(x)


class Independent(Denoiser):
    """The exact posterior of coordinates that are independent, each with its own law ``[D, K]``."""

    def __init__(self, process: MatrixProcess, probs: Tensor):
        super().__init__()
        self.process, self.probs = process, probs
        self.anchor = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Categorical:
        return Categorical((self.probs.log() + log_likelihood(self.process, x_t, expand(t, x_t))).log_softmax(-1))


def test_levels_of_their_own_for_each_coordinate_need_a_chain() -> None:
    settings = {"widths": "16", "blocks": 1, "classes": ""}
    blurring = ornstein.build("blur-diffusion", data="digits", size=8, settings=settings)
    x = torch.zeros(2, 1, 8, 8)
    with pytest.raises(CapabilityError, match=r"one log-SNR for all coordinates; Blur has one for each. Give steps"):
        blurring.log_likelihood(x, "vlb")
    assert blurring.log_likelihood(x, "vlb", steps=3).nats.shape == (2,)


def test_a_chain_of_matrices_has_its_own_bound() -> None:
    """Tight under the exact posterior of independent coordinates; without ``steps`` the chain is the process's own."""
    probs = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.4, 0.1]], dtype=torch.float64)
    process = MatrixProcess.discretised_gaussian(4, 20)
    built = System(
        recipe="exact",
        config=None,
        codec=Words(),
        denoiser=Independent(process, probs),
        shape=(2,),
        training=lambda s, d: iter(()),
        sampler=get("ancestral"),
        steps=20,
    )
    x = Stream(0).categorical(probs.log().expand(200, 2, 4))
    truth = -float(probs.log().expand(200, 2, 4).gather(-1, x.unsqueeze(-1)).sum(1).mean()) / (2 * LN2)
    found = built.log_likelihood(x, "discrete", repeats=20)
    assert found.bits_per_dim == pytest.approx(truth, abs=4 * found.noise_stderr + 5e-3)
    again = built.log_likelihood(x, "discrete", repeats=20, steps=20)
    torch.testing.assert_close(found.nats, again.nats)
    with pytest.raises(CapabilityError, match="needs a process that is Affine; MatrixProcess is not"):
        built.log_likelihood(x, "ode")


def test_labels_are_told_and_missing_ones_are_not_made_up() -> None:
    problem = exact.mixture(FlowMatching(), [0.5, 0.5], [[-1.0], [1.0]], 0.04)
    x = problem.sample(Stream(0), 6)
    built = system(problem, Identity(), ("left", "right"))
    torch.testing.assert_close(built.log_likelihood(x).nats, problem.log_prob(x), atol=1e-3, rtol=0)
    own = ["left" if v < 0 else "right" for v in x.flatten().tolist()]
    told = built.log_likelihood(x, label=own).nats
    torch.testing.assert_close(told, problem.log_prob(x) + LN2, atol=1e-3, rtol=0)
    with pytest.raises(UsageError, match="unknown label 'middle'"):
        built.log_likelihood(x, label="middle")


def test_batches_change_nothing() -> None:
    problem = exact.gaussian(EDM(), torch.zeros(70), 0.5)
    built, x = system(problem, Identity()), problem.sample(Stream(0), 5)
    whole, parts = (built.log_likelihood(x, batch=b, repeats=2, tolerance=1e-3) for b in (5, 2))
    torch.testing.assert_close(whole.nats, parts.nats)
    torch.testing.assert_close(whole.noise, parts.noise)


class Folded(Words):
    """A codec that loses something."""


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("baseline-gan", {"widths": (8,)}, "no encoder: the state of an image is not known, nor its likelihood"),
        (
            "heavy-tailed-dsm",
            {"widths": (16,), "blocks": 1},
            "a score alone, which on HeavyTailedVE is no flow .* eps, x_0",
        ),
        ("cld", {"widths": (16,), "blocks": 1}, "CLD is not. .*'vlb' with steps"),
        ("latent-diffusion", {"codec_widths": (8, 8), "widths": (16,), "head": 8}, "in the data's own space"),
    ],
)
def test_systems_without_a_likelihood_say_so(name: str, settings: dict[str, Any], message: str) -> None:
    built = ornstein.build(name, settings={"size": 8, "channels": 1, **settings})
    with pytest.raises(CapabilityError, match=message):
        built.log_likelihood(torch.zeros(1, 1, 8, 8))


def test_misuse_is_named() -> None:
    problem = exact.gaussian(EDM(), torch.zeros(1, 2, 2), 0.5)
    built = system(problem, Scale())
    x, bytes_ = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(UsageError, match="unknown method 'odd': did you mean 'ode'"):
        built.log_likelihood(x, "odd")
    with pytest.raises(CapabilityError, match="no density in the state of Folded"):
        system(problem, Folded()).log_likelihood(x.double())
    with pytest.raises(DataError, match=r"samples have shape \(1, 2, 2\), the data \(1, 3, 3\)"):
        built.log_likelihood(torch.zeros(2, 1, 3, 3, dtype=torch.uint8))
    with pytest.raises(DataError, match="'discrete' takes states of a finite set, got"):
        built.log_likelihood(x, "discrete")
    with pytest.raises(CapabilityError, match=r"JumpBound needs a process that is Rate; EDM is not. .*'ode' and 'vlb'"):
        built.log_likelihood(bytes_.long(), "discrete")
    with pytest.raises(CapabilityError, match="needs a process on a finite set; EDM is not"):
        built.log_likelihood(bytes_.long(), "discrete", steps=3)
    with pytest.raises(UsageError, match="bytes have no density"):
        built.log_likelihood(bytes_, dequantise="none")
    with pytest.raises(UsageError, match="unknown dequantisation 'uniforn': did you mean 'uniform'"):
        built.log_likelihood(bytes_, dequantise="uniforn")
    with pytest.raises(DataError, match="dequantisation is for bytes"):
        built.log_likelihood(x, dequantise="uniform")
    with pytest.raises(UsageError, match="trace belongs to method 'ode', not to 'vlb'"):
        built.log_likelihood(x, "vlb", trace="exact")
    with pytest.raises(UsageError, match="those of a chain: give steps"):
        built.log_likelihood(x, "vlb", importance=True)
    with pytest.raises(DataError, match="no samples were given"):
        built.log_likelihood(x[:0])
    with pytest.raises(UsageError, match="takes no conditions, but 'colour' was given"):
        built.log_likelihood(x, colour="red")


def test_a_network_in_single_precision() -> None:
    """An untrained network predicts no eps: its own law is known, N(0, sigma_max^2) in every coordinate, all but the scale."""
    built = ornstein.build("edm", settings={"size": 4, "channels": 1, "widths": (64,), "blocks": 1})
    x = torch.zeros(2, 1, 4, 4).uniform_(-1, 1)
    a, b = (built.log_likelihood(x, trace="exact", tolerance=t) for t in (1e-3, 1e-5))
    torch.testing.assert_close(a.nats, b.nats, atol=0.05, rtol=0)
    with torch.no_grad():
        for p in built.denoiser.parameters():
            p.fill_(torch.nan)
    with pytest.raises(OrnsteinError, match="check the data and the weights"):
        built.log_likelihood(x)
