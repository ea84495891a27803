"""Bases, blur and speeds: exact identities, and what cannot be meant."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ornstein
from ornstein.codecs.bases import Cosines, Haar, cosines, dct, haar, idct, ihaar
from ornstein.codecs.levels import Levels
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.categorical import CategoricalDenoiser
from ornstein.processes import VP, CategoricalProcess
from ornstein.processes.blur import Blur
from ornstein.processes.matrix import MatrixProcess
from ornstein.processes.non_uniform import NonUniformVE
from ornstein.samplers import Ancestral, simulate
from ornstein.samplers.conditioned_part import ConditionedPart
from ornstein.testing import exact
from ornstein.testing.conformance.codec import check_codec


def test_bases_are_orthonormal_and_go_back() -> None:
    x = Stream(0).normal((2, 3, 6, 8), dtype=torch.float64)
    for there, back in ((dct, idct), (haar, ihaar)):
        torch.testing.assert_close(back(there(x)), x)
        torch.testing.assert_close(there(x).square().sum(), x.square().sum())
    flat = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    assert dct(flat)[0, 0, 0, 0] == pytest.approx(2.0) and float(dct(flat).abs().sum()) == pytest.approx(2.0)
    assert haar(flat)[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert float(cosines(5)[2, 0]) == pytest.approx(math.sqrt(2 / 5) * math.cos(math.pi * 2 / 10))


@pytest.mark.parametrize("codec", [Cosines(), Haar()], ids=["cosines", "haar"])
def test_codecs(codec: Any) -> None:
    check_codec(codec, 2 * torch.rand(4, 1, 8, 8) - 1)


def test_levels_lose_only_what_they_say() -> None:
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    whole = Levels(256)
    assert torch.equal(whole.encode(x, Stream(0)), x.long())
    back = ((whole.decode(whole.encode(x, Stream(0))) + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(back, x)
    few = Levels(4).encode(x, Stream(0))
    assert few.unique().tolist() == [0, 1, 2, 3] and bool((few.flatten().bincount() == 64).all())
    assert float(Levels(4).decode(torch.tensor([4])).max()) == 1.0  # a mask
    floats = 2 * x.float() / 255 - 1
    assert torch.equal(whole.encode(floats, Stream(0)), x.long())  # rounded, not cut


def test_without_blur_nothing_depends_on_frequency() -> None:
    process = Blur(4, 0.0)
    for t in torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64):
        alpha = process.alpha(t)
        assert float(alpha.max() - alpha.min()) == 0
        torch.testing.assert_close(alpha**2 + process.sigma(t) ** 2, torch.ones(4, 4, dtype=torch.float64))


def test_coarse_comes_back_first() -> None:
    process = Blur(8)
    for t in torch.linspace(0.02, 0.98, 30, dtype=torch.float64):
        snr = process.log_snr(t)
        assert bool((snr[:, 1:] <= snr[:, :-1] + 1e-12).all()) and bool((snr[1:] <= snr[:-1] + 1e-12).all())


def test_a_known_part_stays_what_it_is() -> None:
    process = NonUniformVE(torch.tensor([20.0, 0.1]))
    problem = exact.gaussian(process, torch.tensor([0.3, -0.2]), torch.tensor([1.0, 1.0]))
    known, mask = torch.tensor([0.0, 0.7]), torch.tensor([False, True])
    sampler = ConditionedPart(Ancestral(problem.denoiser), known, mask)
    x = process.prior((500, 2)).sample(Rng(range(500))).double()
    times = torch.cat([torch.linspace(1, 1e-3, 40), torch.zeros(1)])
    end = simulate(sampler, x, times, Rng(range(500)))
    assert bool((end[:, 1] == known[1]).all())
    assert abs(float(end[:, 0].mean()) - 0.3) < 5 / 500**0.5
    # each sample noises the known part by its own seed
    alone = simulate(sampler, x[7:8], times, _after(x, 7))
    torch.testing.assert_close(alone[0], end[7])


def _after(x: torch.Tensor, i: int) -> Rng:
    """The stream of sample i after its prior was drawn, which the whole batch's Rng(range(500)) did not draw again."""
    return Rng([i])


def test_matrix_chains_agree_with_closed_forms() -> None:
    """A uniform chain given by matrices is the categorical process with the same keep on the chain's times."""
    keep = torch.tensor([0.9, 0.8, 0.5], dtype=torch.float64)
    k = 4
    step = torch.stack([a * torch.eye(k).double() + (1 - a) / k for a in keep])
    chain = MatrixProcess(step)
    x_0 = torch.tensor([[0, 3]])
    for n in range(4):
        total = float(keep[:n].prod())
        wanted = total * torch.nn.functional.one_hot(x_0, k) + (1 - total) / k
        got = chain.marginal(x_0, torch.tensor(n / 3, dtype=torch.float64)).probs
        torch.testing.assert_close(got, wanted.double())


def test_gaussian_levels_are_symmetric_and_near() -> None:
    chain = MatrixProcess.discretised_gaussian(8, 20)
    torch.testing.assert_close(chain.step, chain.step.mT)
    assert bool((chain.step[:, 0, 1:-1] >= chain.step[:, 0, 2:]).all())
    near = MatrixProcess.nearest(torch.tensor([[0.0], [1.0], [2.0], [3.0], [9.0]]), 20, 2)
    assert float(near.step[0, 0, 1]) > 100 * float(near.step[0, 0, 4])


def test_tilted_logits_give_the_papers_kernel() -> None:
    """p(x_s | x_t) ~ sum_l q(x_s, x_t | l) p~_l, by enumeration."""
    chain = MatrixProcess.discretised_gaussian(4, 6)

    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Any = None) -> torch.Tensor:
            return torch.tensor([0.1, 1.0, -0.5, 0.3]).reshape(1, 4, 1).expand(len(x), 4, 1)

    denoiser = CategoricalDenoiser(Fixed(), chain, 4)
    x_t = torch.tensor([[2]])
    t, s = (torch.full((1, 1), n / 6, dtype=torch.float64) for n in (4, 2))
    p = denoiser.logits(x_t, t)[0, 0].exp().double()
    jump = chain.step[2] @ chain.step[3]
    wanted = (p @ chain.total[2]) * jump[:, 2]
    got = chain.reverse(x_t, t, s, denoiser(x_t, t)).probs[0, 0]
    torch.testing.assert_close(got, wanted / wanted.sum())


def test_a_mask_is_never_predicted() -> None:
    network = torch.nn.Conv2d(1, 2, 1)

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Any = None) -> torch.Tensor:
            return self.inner(x)

    denoiser = CategoricalDenoiser(Plain(), CategoricalProcess.absorbing(9), 8, "logistic")
    x_t = torch.full((2, 1, 2, 2), 8)
    posterior = denoiser(x_t, torch.tensor(0.5, dtype=torch.float64))
    assert float(posterior.probs[..., 8].detach().max()) == 0
    torch.testing.assert_close(posterior.probs.detach().sum(-1), torch.ones(2, 1, 2, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Blur(8, -1.0), UsageError, "blur, the final width"),
        (lambda: Blur(8, 1.0, 0.0), UsageError, r"floor must lie in \(0, 1\)"),
        (lambda: Blur(1), UsageError, "at least 2 x 2, got 1 x 1"),
        (lambda: haar(torch.zeros(1, 1, 3, 4)), UsageError, "even height and width, got 3 x 4"),
        (
            lambda: NonUniformVE(torch.tensor([5.0, 0.001])),
            UsageError,
            "0 < sigma_min < sigma_max, got 0.005 and 0.001",
        ),
        (lambda: Levels(1), UsageError, r"values must lie in 2 \.\. 256, got 1"),
        (lambda: Levels().encode(torch.tensor([1]), Stream(0)), DataError, "uint8 or floats"),
        (
            lambda: MatrixProcess(torch.full((2, 3, 3), 0.3)),
            UsageError,
            "every row of a chain's matrices must be a law",
        ),
        (lambda: MatrixProcess(torch.ones(3, 3)), UsageError, r"\[T, K, K\]"),
        (lambda: MatrixProcess.nearest(torch.tensor([[0.0], [0.1], [9.0], [9.1]]), 5, 1), UsageError, "2 pieces"),
        (lambda: MatrixProcess.nearest(torch.zeros(3, 1), 5, 3), UsageError, r"neighbours must lie in 1 \.\. 2"),
        (lambda: CategoricalDenoiser(torch.nn.Identity(), VP(), 4), Exception, "VP is not"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("x", [torch.tensor([[4]]), torch.tensor([[-1]]), torch.zeros(1, 1)])
def test_states_outside_the_chain_are_refused(x: torch.Tensor) -> None:
    denoiser = CategoricalDenoiser(torch.nn.Identity(), MatrixProcess.discretised_gaussian(4, 5), 4)
    with pytest.raises(DataError, match=r"states (must lie in 0 \.\. 3|are integers)"):
        denoiser(x, torch.tensor(0.5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("d3pm", {"chain": 1}, "chain must be at least 2"),
        ("d3pm", {"values": 300}, r"values must lie in 2 \.\. 256"),
        ("d3pm", {"sampling_steps": 500}, r"sampling_steps must lie in 1 \.\. 250"),
        ("d3pm", {"architecture": "adm_imagenet64"}, "networks mp_unet and ddpm_cifar10"),
        ("non-uniform-diffusion", {"size": 9}, "even size, got 9"),
        ("non-uniform-diffusion", {"fine": 0.001}, "0 < sigma_min < sigma_max"),
        ("blur-diffusion", {"floor": 0.0}, "floor must lie in"),
    ],
)
def test_configs_that_cannot_be_meant(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ornstein.build(name, settings={"size": 8, "widths": (64,), **settings})
