"""In which precision a served model computes: bf16 only where the machine has it and company changes nothing."""

from __future__ import annotations

import argparse
import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.cli.commands import serve
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.networks.dit import DiT
from ornstein.networks.unet import UNet
from ornstein.recipes.system import System
from ornstein.serving import Engine, Request, loader, precision
from ornstein.serving.precision import PRECISIONS, SAME, has_instructions, settle, steady
from serving.tiny import tiny


class Company(nn.Module):
    """A network whose answer to one row depends on how many others there are, as a sum in another order might."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return (0.1 + self.share * x.shape[0]) * torch.ones_like(x)


def around(network: nn.Module) -> System:
    """The tiny system with another network."""
    made = copy.deepcopy(tiny())
    assert isinstance(made.denoiser, Preconditioned)
    known = made.denoiser
    return dataclasses.replace(made, denoiser=Preconditioned(network, known.process, known.parametrization))


def format_of(system: System) -> torch.dtype | None:
    assert isinstance(system.denoiser, Preconditioned)
    return system.denoiser.autocast


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_instructions", lambda: True)


def test_company_that_tells_is_found() -> None:
    assert steady(around(Company(0.0)))
    assert not steady(around(Company(0.1)))


@pytest.mark.usefixtures("able")
def test_auto_is_bf16_where_company_changes_nothing() -> None:
    assert format_of(settle(around(Company(0.0)), "auto")) is torch.bfloat16
    assert format_of(settle(around(Company(0.1)), "auto")) is None
    assert format_of(settle(around(Company(0.1)), "bf16")) is torch.bfloat16  # whoever asks for it gets it
    assert format_of(settle(around(Company(0.0)), "float32")) is None


@pytest.mark.usefixtures("able")
def test_auto_is_float32_on_other_devices() -> None:
    assert format_of(settle(around(Company(0.0)), "auto", "cuda")) is None


def test_auto_is_float32_without_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    assert not has_instructions()
    assert format_of(settle(around(Company(0.0)), "auto")) is None


def test_no_such_precision() -> None:
    with pytest.raises(UsageError, match="float23"):
        settle(tiny(), "float23")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["unet", "dit", "mp unet"])
def test_pictures_of_every_family_are_those_of_a_lone_request(kind: str) -> None:
    """What ``auto`` settles on keeps the engine's promise: twelve requests at once, each as if it were alone."""
    torch.manual_seed(0)
    networks = {
        "unet": lambda: UNet(channels=1, widths=(8, 16), blocks=1, head=8),
        "dit": lambda: DiT(channels=1, width=32, depth=2, head=16),
    }
    made = tiny() if kind == "mp unet" else around(networks[kind]())
    with torch.no_grad():
        for value in made.denoiser.parameters():
            value.add_(0.05 * torch.randn_like(value))
    system = settle(copy.deepcopy(made), "auto")
    requests = [Request("it", seed=i, steps=3, sampler=("ddim", "heun")[i % 2], guidance=1.0) for i in range(12)]
    with Engine({"it": lambda: system}) as engine:
        got = [job.result(60).tensor for job in [engine.submit(r) for r in requests]]
    for request, x in zip(requests, got, strict=True):
        lone = system.sample(1, seed=request.seed, steps=3, sampler=request.sampler, guidance=1.0).tensor
        assert float((lone - x).abs().max()) < SAME


@pytest.mark.usefixtures("able")
def test_a_loader_settles() -> None:
    assert format_of(loader("fashion-mnist")()) is None
    served = loader("fashion-mnist", precision="auto")()
    assert format_of(served) is (torch.bfloat16 if steady(ornstein.load("fashion-mnist").fast()) else None)


def test_the_command_settles_by_itself() -> None:
    parser = argparse.ArgumentParser()
    serve.add(parser)
    assert parser.parse_args(["fashion-mnist"]).precision == "auto"
    for name in PRECISIONS:
        assert parser.parse_args(["fashion-mnist", "--precision", name]).precision == name
