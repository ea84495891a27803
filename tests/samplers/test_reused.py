"""Networks that leave out their inner part: what is exact stays exact, and the rest is an approximation that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.cli import main
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.reuse import Inner, Reusable
from ornstein.denoisers.reused import Reused
from ornstein.networks import MLP, DiT, MPUNet, UNet
from ornstein.recipes.system import System


def opened(network: nn.Module) -> nn.Module:
    """The network with everything that is zero at first replaced by noise."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    return network.eval()


NETWORKS = {
    "mp_unet": (lambda: MPUNet(channels=1, widths=(8, 12), blocks=2, patch=2), "decoder.0"),
    "mp_unet, three": (lambda: MPUNet(channels=1, widths=(8, 8, 8), blocks=1), "encoder.1"),
    "unet": (lambda: UNet(channels=1, widths=(8, 12), blocks=1, attention=(), head=4), "middle.0"),
    "unet, residual": (lambda: UNet(channels=1, widths=(8, 12, 12), blocks=1, head=4, input="residual"), "up.0"),
    "dit": (lambda: DiT(channels=1, width=16, depth=8, head=8), "blocks.4"),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, list[int]]:
    """A network, and a list that grows by one whenever its inner part is run."""
    torch.manual_seed(0)
    make, inside = NETWORKS[request.param]
    network, runs = opened(make()), []
    network.get_submodule(inside).register_forward_hook(lambda _m, _i, _o: runs.append(1))
    return network, runs


@torch.no_grad()
def test_a_call_with_the_same_state_gives_the_same(case: tuple[nn.Module, list[int]]) -> None:
    network, runs = case
    reused = Reused(network, 3)
    x, t = torch.randn(2, 1, 10, 6), torch.rand(2)
    plain, y = network(x, t), torch.randn(2, 1, 10, 6)
    assert torch.equal(network(x, t, inner=Inner()), plain)
    runs.clear()
    for call in range(7):
        # A transformer's inner part is a sum that is taken apart and put together: equal up to rounding.
        torch.testing.assert_close(reused(x, t), plain, rtol=0, atol=0 if call % 3 == 0 else 1e-5)
    assert not torch.allclose(reused(y, t), plain, atol=1e-3)  # the outer part sees the new state


@torch.no_grad()
def test_the_inner_part_runs_at_every_so_many_calls(case: tuple[nn.Module, list[int]]) -> None:
    network, runs = case
    states = [torch.randn(2, 1, 8, 8) for _ in range(7)]
    t = torch.rand(2)
    for every, full in ((1, 7), (2, 4), (3, 3), (10, 1)):
        reused = Reused(network, every)
        runs.clear()
        out = [reused(x, t) for x in states]
        assert len(runs) == full
        exact = [torch.equal(a, network(x, t)) for a, x in zip(out, states, strict=True)]
        assert exact == [i % every == 0 for i in range(7)]


@torch.no_grad()
def test_another_number_of_rows_is_run_in_full(case: tuple[nn.Module, list[int]]) -> None:
    network, runs = case
    reused, t = Reused(network, 5), torch.rand(4)
    for rows, full in ((2, 1), (2, 1), (4, 2), (4, 2), (2, 3)):
        reused(torch.randn(rows, 1, 8, 8), t[:rows])
        assert len(runs) == full


class Line(nn.Module, Reusable):
    """Inner part 3 + 2 t for each sample, outer part x: what it gives is x + inner."""

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND, inner: Inner | None = None) -> Tensor:
        known = None if inner is None else inner.value
        value = (3 + 2 * t).reshape(-1, 1).expand_as(x) if known is None else known
        if inner is not None:
            inner.value = value
        return x + value


def test_an_inner_part_on_a_line_is_followed_exactly() -> None:
    reused, plain, x = Reused(Line(), 3), Line(), torch.zeros(2, 4)
    times = [torch.tensor([1.0, 0.8]) * 0.75**i for i in range(9)]  # of each sample its own, in shrinking steps
    wrong = [not torch.allclose(reused(x, t), plain(x, t), atol=1e-6) for t in times]
    assert wrong == [False, True, True, *[False] * 6]  # one answer makes no line
    again = Reused(Line(), 2)
    again(x, times[0]), again(x, times[0]), again(x, times[0])  # two answers at one level make none either
    torch.testing.assert_close(again(x, times[1]), plain(x, times[0]))


def system(name: str = "edm", **settings: object) -> System:
    """An untrained system whose network says something."""
    small = {"size": 8, "channels": 1, "widths": (16, 16), "blocks": 1, "patch": 1, "classes": ("cat", "dog")}
    torch.manual_seed(0)
    made = ornstein.build(name, settings={**small, **settings})
    with torch.no_grad():
        for key, value in made.modules.named_parameters():
            if key.endswith("gain"):
                value.fill_(0.5)
    return made


def test_a_sample_is_its_seed_s_whatever_the_batch() -> None:
    made = system()
    for guidance in (1.0, 2.0):
        whole = made.sample(5, steps=4, seed=3, guidance=guidance, cache=2)
        for batch in (2,):
            part = made.sample(5, steps=4, seed=3, guidance=guidance, cache=2, batch=batch)
            torch.testing.assert_close(part.tensor, whole.tensor, atol=1e-5, rtol=0)
        later = made.sample(2, steps=4, seed=6, guidance=guidance, cache=2)
        torch.testing.assert_close(later.tensor, whole.tensor[3:], atol=1e-5, rtol=0)
    assert whole.provenance["cache"] == 2


def test_the_error_grows_with_the_distance_and_falls_with_the_step() -> None:
    made = system("ddpm")

    def error(steps: int, every: int) -> float:
        exact, quick = (made.sample(4, steps=steps, sampler="ddim", cache=c).tensor for c in (1, every))
        return float((exact - quick).square().mean().sqrt())

    assert error(16, 1) == 0
    assert 0 < error(16, 2) < error(16, 4) < error(16, 8)


def test_what_cannot_be_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="at least 1, got 0"):
        system().sample(1, steps=1, cache=0)
    with pytest.raises(CapabilityError, match=r"MPUNet.*two resolutions"):
        system(widths=(16,)).sample(1, steps=1, cache=2)
    with pytest.raises(CapabilityError, match=r"MLP.*only MPUNet, UNet and DiT"):
        Reused(MLP(size=2), 2)
    with pytest.raises(CapabilityError, match="adds to the output"):
        Reused(UNet(channels=1, widths=(8, 8), attention=(), head=4, output="skip"), 2)
    with pytest.raises(CapabilityError, match="three blocks"):
        Reused(DiT(channels=1, width=16, depth=2, head=8), 2)
    with pytest.raises(CapabilityError, match="as many evaluations as the data ask for"):
        system("ddpm").sample(1, steps=2, sampler="dpm_adaptive", cache=2)
    assert main(["sample", "fashion-mnist", "-n", "1", "--cache", "0", "-o", str(tmp_path)]) == 2
    assert "--cache must be at least 1" in capsys.readouterr().err


def test_the_command_tells_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "fashion-mnist", "-n", "2", "--steps", "4", "--sampler", "ddim", "-o", str(tmp_path), "--json"]
    assert main([*words, "--cache", "2"]) == 0
    assert '"cache": 2' in capsys.readouterr().out
