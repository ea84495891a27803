"""Training that begins with a trained model: its weights, or low-rank changes of them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CheckpointError, UsageError
from ornstein.data import Images
from ornstein.interop.adapters import with_lora
from ornstein.networks.layers.low_rank import add_low_rank, low_rank_of, merge_low_rank, without_low_rank
from ornstein.networks.layers.magnitude import MPConv

SMALL = {"widths": (8, 16), "blocks": 1, "batch": 8, "precision": "fp32", "warmup": 1}


def pictures(level: int) -> Images:
    x = np.random.default_rng(0).integers(0, 60, (16, 1, 8, 8)).astype(np.uint8) + np.uint8(level)
    return Images(x, name=f"level {level}")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "base"
    ornstein.train("ddpm", data=pictures(0), out=run, settings=SMALL, steps=3)
    return run


def test_the_changes_alone_are_trained(base: Path, tmp_path: Path) -> None:
    tuned, result = ornstein.train("ddpm", data=pictures(150), out=tmp_path / "run", base=base, lora=2, steps=4)
    start = ornstein.load(base)
    assert result.step == 4 and tuned.config.widths == (8, 16)
    changes = low_rank_of(tuned.denoiser.network)  # type: ignore[arg-type]
    assert len(changes) > 10 and all(c.up.shape[1] <= 2 for c in changes.values())
    assert any(bool(c.up.any()) for c in changes.values())
    own = tuned.modules.state_dict()
    for name, value in start.modules.state_dict().items():
        frozen = own.get(name, own.get(name.replace(".weight", ".parametrizations.weight.original")))
        assert torch.equal(frozen, value), name
    # The small file on the base is the run, and taking it away is the base.
    same = with_lora(start, tmp_path / "run" / "adapter.safetensors")
    t = torch.tensor(0.5, dtype=torch.float64)
    x = torch.randn(2, 1, 8, 8)
    expected = tuned.denoiser(x, t).mean.detach()
    torch.testing.assert_close(same.denoiser(x, t).mean, expected, atol=1e-5, rtol=1e-4)
    assert float((start.denoiser(x, t).mean.detach() - expected).abs().max()) > 1e-4
    without_low_rank(tuned.denoiser.network)  # type: ignore[arg-type]
    assert torch.equal(tuned.denoiser(x, t).mean, start.denoiser(x, t).mean)


def test_a_run_with_changes_goes_on(base: Path, tmp_path: Path) -> None:
    for steps in (2, 4):
        whole, _ = ornstein.train("ddpm", data=pictures(90), out=tmp_path / "parts", base=base, lora=1, steps=steps)
    at_once, _ = ornstein.train("ddpm", data=pictures(90), out=tmp_path / "once", base=base, lora=1, steps=4)
    a, b = whole.modules.state_dict(), at_once.modules.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    with pytest.raises(CheckpointError, match="has lora=1 and cannot go on with 3"):
        ornstein.train("ddpm", data=pictures(90), out=tmp_path / "once", base=base, lora=3, steps=5)


def test_all_weights_from_a_base(base: Path, tmp_path: Path) -> None:
    tuned, _ = ornstein.train(
        "ddpm", data=pictures(150), out=tmp_path / "run", base=base, steps=1, settings={"lr": 1e-9}
    )
    start = ornstein.load(base)
    assert not low_rank_of(tuned.modules)
    t, x = torch.tensor(0.5, dtype=torch.float64), torch.randn(2, 1, 8, 8)
    # Rows that an average has shortened are made whole again, which the network does not see.
    torch.testing.assert_close(tuned.denoiser(x, t).mean, start.denoiser(x, t).mean, atol=1e-4, rtol=1e-4)
    fresh, _ = ornstein.train(
        "ddpm", data=pictures(150), out=tmp_path / "fresh", settings={**SMALL, "lr": 1e-9}, steps=1
    )
    assert float((fresh.denoiser(x, t).mean - start.denoiser(x, t).mean).detach().abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lora": 2}, "say which"),
        ({"lora": 0, "base": "base"}, "must be at least 1, got 0"),
        ({"base": "fashion-mnist"}, "fashion-mnist is a model of recipe 'edm', not of 'ddpm'"),
        ({"base": "base", "size": 16}, "the base draws size 8, 'level 0' has 16"),
    ],
)
def test_what_cannot_begin(options: dict[str, Any], error: str, base: Path, tmp_path: Path) -> None:
    options = {**options, **({"base": base} if options.get("base") == "base" else {})}
    with pytest.raises(UsageError, match=error):
        ornstein.train("ddpm", data=pictures(0), out=tmp_path / "run", steps=1, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (nn.Linear(6, 5), torch.randn(2, 6)),
        (nn.Conv2d(3, 4, 3, padding=1), torch.randn(2, 3, 5, 5)),
        (MPConv(3, 4, 3), torch.randn(2, 3, 5, 5)),
    ],
    ids=["linear", "convolution", "magnitude-preserving"],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_low_rank_change_is_of_the_weight(module: nn.Module, x: torch.Tensor, training: bool) -> None:
    network = nn.ModuleDict({"a": module}).train(training)
    plain = network["a"](x)
    change = add_low_rank(network, rank=2, alpha=3.0)["a"]
    torch.testing.assert_close(network["a"](x), plain, atol=1e-5, rtol=1e-5)  # up is zero
    with torch.no_grad():
        change.up.normal_()
    changed = network["a"](x)
    changed.square().sum().backward()
    assert change.up.grad is not None and change.down.grad is not None and not torch.allclose(changed, plain)
    assert [n for n, p in network.named_parameters() if p.requires_grad] == [
        "a.parametrizations.weight.0.down",
        "a.parametrizations.weight.0.up",
    ]
    merged = merge_low_rank(network)
    assert not low_rank_of(merged)
    torch.testing.assert_close(merged["a"](x), changed, atol=1e-5, rtol=1e-5)  # type: ignore[index]


def test_the_command(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "data.npy", pictures(50).x)
    words = ["train", "ddpm", "--data", str(tmp_path / "data.npy"), "--out", str(tmp_path / "run"), "--steps", "1"]
    assert main([*words, "--from", str(base), "--lora", "2"]) == 0
    assert load_file(tmp_path / "run" / "adapter.safetensors")
    assert main([*words[:-4], "--out", str(tmp_path / "other"), "--lora", "2"]) == 2
    assert "say which (--from RUN)" in capsys.readouterr().err


def test_a_finished_model_teaches_consistency(tmp_path: Path, base: Path) -> None:
    def weights(module: nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    settings = {**SMALL, "sigma_max": 40.0}
    teacher, _ = ornstein.train("edm", data=pictures(0), out=tmp_path / "teacher", settings=settings, steps=2)
    student, result = ornstein.train(
        "consistency-models",
        data=pictures(0),
        out=tmp_path / "student",
        base=tmp_path / "teacher",
        settings={"batch": 8},
        steps=3,
    )
    assert result.step == 3 and student.config.mode == "distillation" and student.config.first_steps == 0
    assert (
        student.config.widths == (8, 16) and student.config.sigma_max == 40 and student.config.lr != teacher.config.lr
    )
    expected = weights(teacher.denoiser.network)  # type: ignore[arg-type]
    assert torch.equal(weights(student.extra["teacher"].copy.network), expected)
    assert not torch.equal(weights(student.denoiser.network), expected)  # type: ignore[arg-type]
    again, _ = ornstein.train("consistency-models", data=pictures(0), out=tmp_path / "student", steps=4)
    assert torch.equal(weights(again.extra["teacher"].copy.network), expected)
    for wrong, error in (
        ({"base": base}, r"'ddpm', not of 'consistency-models' or of its teachers \(edm\)"),
        ({"base": tmp_path / "teacher", "lora": 2}, "whole network is trained"),
        ({"base": tmp_path / "teacher", "settings": {"mode": "training"}}, "needs no teacher"),
    ):
        with pytest.raises(UsageError, match=error):
            ornstein.train("consistency-models", data=pictures(0), out=tmp_path / "other", steps=1, **wrong)
