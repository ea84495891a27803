"""The engine's options: accumulation, precision, recomputation, budgets, callbacks, records."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.errors import CheckpointError, OrnsteinError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.training import Callback, Engine, Losses, OptimizerSpec, Patience, Progress, Stage, Update, fit
from ornstein.training.metrics import read_metrics
from ornstein.training.noise_scale import NoiseScale
from ornstein.training.regions import blocks, recomputing
from training.toy import Model, stages


class Rows:
    """Batch k holds ``size`` rows drawn from seed k."""

    def __init__(self, size: int = 12, width: int = 3):
        self.step, self.size, self.width = 0, size, width

    def __iter__(self) -> Iterator[Batch]:
        while True:
            generator = torch.Generator().manual_seed(self.step)
            self.step += 1
            x = torch.randn(self.size, self.width, generator=generator, dtype=torch.float64)
            yield Batch(x, {"label": torch.arange(self.size)})

    def state(self) -> dict[str, int]:
        return {"step": self.step}

    def restore(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 1).double()


def plain(model: nn.Module, steps: int = 5, clip: float | None = None) -> list[Stage]:
    """A regression without noise, so that dividing a batch changes nothing but the order of a sum."""

    def objective(batch: Batch, rng: Random) -> Loss:
        error = (model(batch.x) - batch.cond["label"][:, None] / 4).square().mean(1)
        return Loss(error.mean(), {"rows": float(len(batch))}, (batch.cond["label"] / 12, error.detach()))

    return [
        Stage("only", Rows(), [Update(objective, list(model.parameters()), OptimizerSpec(lr=0.1, clip=clip))], steps)
    ]


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_an_accumulated_batch_is_the_whole_batch(parts: int, clip: float | None, tmp_path: Path) -> None:
    """Also for parts of unequal size, 12 = 2 + 2 + 3 + 2 + 3: each weighs by its rows."""
    whole, divided = linear(), linear()
    fit(whole, plain(whole, clip=clip), Engine(run=tmp_path / "a", log_every=1))
    fit(divided, plain(divided, clip=clip), Engine(run=tmp_path / "b", log_every=1, accumulate=parts))
    torch.testing.assert_close(divided.weight, whole.weight, rtol=1e-12, atol=0)
    a, b = (read_metrics(tmp_path / name) for name in "ab")
    for key in ("loss", "grad_norm", "grad_norm_max", "lr", *(k for k in a[0] if k.startswith("loss/level"))):
        assert [r[key] for r in b] == pytest.approx([r[key] for r in a], rel=1e-12), key


def test_a_batch_too_small_to_divide_is_refused() -> None:
    model = linear()
    with pytest.raises(UsageError, match="a batch of 12 cannot be divided into 13 parts"):
        fit(model, plain(model), Engine(accumulate=13))


def test_noise_scale_of_a_known_gradient() -> None:
    """Gradients g = G + n with n of covariance s^2 I in d dimensions: the scale is d s^2 / |G|^2, whatever the batches."""
    d, s, small, large = 50, 2.0, 4, 16
    torch.manual_seed(0)
    mean = torch.ones(d, dtype=torch.float64)
    meter = NoiseScale(decay=0.999)
    for _ in range(5000):
        g = mean + s * torch.randn(large, d, dtype=torch.float64)
        meter.add(float(g[:small].mean(0).square().sum()), small, float(g.mean(0).square().sum()), large)
    assert meter.value == pytest.approx(s**2, rel=0.1)
    again = NoiseScale()
    assert again.value is None
    again.restore(json.loads(json.dumps(meter.state())))
    assert again.value == meter.value


@pytest.mark.parametrize("options", [{"accumulate": 3}, {"noise_scale_every": 2}])
def test_the_engine_measures_the_noise_scale(options: dict[str, int], tmp_path: Path) -> None:
    """Fixed weights under targets of known noise: each g_i = b_i - x_i, so |G|^2 = 100 / 4 and tr(S) = 100."""
    bias = nn.Parameter(torch.full((100,), 0.5, dtype=torch.float64))

    def objective(batch: Batch, rng: Random) -> Loss:
        return Loss(0.5 * (bias - batch.x).square().sum(1).mean())

    stage = Stage("only", Rows(24, width=100), [Update(objective, [bias], OptimizerSpec(lr=1e-12))], 1000)
    engine = Engine(run=tmp_path, log_every=20, tensorboard=False, **options)  # type: ignore[arg-type]
    fit(nn.ParameterList([bias]), [stage], engine)
    values = [r["noise_scale"] for r in read_metrics(tmp_path)][5:]
    assert sum(values) / len(values) == pytest.approx(4.0, rel=0.1)


def test_autocast_computes_in_bf16_and_keeps_float32_weights() -> None:
    model, seen = Model(), set()

    def objective(batch: Batch, rng: Random) -> Loss:
        out = model.first(batch.x)
        seen.add(out.dtype)
        return Loss(out.float().square().mean())

    fit(
        model,
        [Stage("only", Floats(), [Update(objective, list(model.first.parameters()))], 2)],
        Engine(autocast="bf16"),
    )
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


class Floats(Rows):
    """The same rows in float32."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield Batch(batch.x.float(), batch.cond)


def test_fp16_needs_cuda() -> None:
    with pytest.raises(UsageError, match="fp16 is for CUDA devices; on a CPU take autocast='bf16'"):
        Engine(autocast="fp16")


def test_loss_scaling_changes_nothing_but_the_overflow(tmp_path: Path) -> None:
    """Scales are powers of two: without overflow the weights are equal bit for bit, norms and noise scales too."""
    results = []
    for name, scale in (("a", False), ("b", True)):
        model = linear()
        engine = Engine(run=tmp_path / name, scale_loss=scale, accumulate=2, log_every=1, tensorboard=False)
        fit(model, plain(model), engine)
        keys = ("loss", "grad_norm", "noise_scale")
        results.append((model.weight.tolist(), [[r.get(k) for k in keys] for r in read_metrics(tmp_path / name)]))
    assert results[0] == results[1]


def test_an_overflow_skips_the_step_and_lowers_the_scale() -> None:
    """A half-precision multiplication: the scaled gradient of the first steps exceeds 65504."""
    model = nn.Linear(1, 1, bias=False)
    norms: list[float] = []

    class Watch(Callback):
        def on_step(self, progress: Progress) -> str | None:
            norms.append(progress.grad_norm)
            moved.append(model.weight.item())
            return None

    moved = [model.weight.item()]

    def objective(batch: Batch, rng: Random) -> Loss:
        return Loss((model.weight.half() * 8).float().sum())

    stage = Stage("only", Floats(), [Update(objective, [model.weight], OptimizerSpec(lr=0.1))], 8)
    fit(model, [stage], Engine(scale_loss=True, callbacks=[Watch()], ema_half_life=1e-6))
    skipped = [n == float("inf") for n in norms]
    assert skipped == [True] * 4 + [False] * 4  # 65536 * 8 to 8192 * 8 overflow, 4096 * 8 does not
    assert len(set(moved[:5])) == 1 and len(set(moved[4:])) == 5


def test_a_gradient_that_is_not_finite_stops_before_the_step() -> None:
    model = linear()
    before = model.weight.detach().clone()

    def objective(batch: Batch, rng: Random) -> Loss:
        return Loss((model.weight * 0).sum().sqrt())  # the root has an infinite slope at 0

    for scale in (False, True):
        stage = Stage("only", Rows(), [Update(objective, list(model.parameters()))], 40)
        with pytest.raises(OrnsteinError, match=r"its gradient is not finite .* stopped before the update"):
            fit(model, [stage], Engine(scale_loss=scale))
        assert torch.equal(model.weight, before)


class Tower(nn.Module):
    """Blocks in a list, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        make = lambda: nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 3), nn.Dropout(0.2))  # noqa: E731
        self.blocks = nn.ModuleList([make(), nn.ModuleList([make(), make()])])

    def forward(self, x: Tensor) -> Tensor:
        for block in blocks(self):
            x = x + block(x)
        return x


def tower_stage(model: Tower, kept: list[int] | None = None) -> Stage:
    def objective(batch: Batch, rng: Random) -> Loss:
        def pack(t: Tensor) -> Tensor:
            if kept is not None and t.data_ptr() not in {p.data_ptr() for p in model.parameters()}:
                kept.append(t.numel())
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            return Loss((model(batch.x) - 1).square().mean())

    return Stage("only", Floats(), [Update(objective, list(model.parameters()), OptimizerSpec(lr=0.01))], 4)


def test_blocks_are_those_of_lists() -> None:
    model = Tower()
    assert blocks(model) == [model.blocks[0], model.blocks[1][0], model.blocks[1][1]]
    with pytest.raises(UsageError, match=r"entries in nn\.ModuleList; Linear has none"):
        blocks(linear())


def test_recomputing_gives_the_same_bits_and_keeps_less() -> None:
    kept: dict[bool, list[int]] = {False: [], True: []}
    ends = []
    for recompute in (False, True):
        model = Tower()
        names = list(model.state_dict())
        fit(model, [tower_stage(model, kept[recompute])], Engine(recompute=recompute))
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
        assert list(model.state_dict()) == names
        assert {type(b) for b in blocks(model)} == {nn.Sequential}
    assert torch.equal(*ends)
    assert sum(kept[True]) < 0.2 * sum(kept[False])


def test_a_copy_of_a_recomputing_block_is_whole() -> None:
    model = Tower()
    with recomputing(blocks(model)):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for p in other.parameters():
                p.zero_()
        assert torch.equal(other(torch.ones(1, 3)), torch.ones(1, 3))


def test_compiled_blocks_train_alike_and_are_given_back() -> None:
    ends = []
    for backend in (False, "aot_eager"):
        model = Tower()
        for block in blocks(model):
            block[3].p = 0.0
        fit(model, [tower_stage(model)], Engine(compile=backend))
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
        assert all(b._compiled_call_impl is None for b in blocks(model))
    torch.testing.assert_close(*ends)
    with pytest.raises(UsageError, match="unknown compiler backend 'fast'"):
        fit(Tower(), [], Engine(compile="fast"))


def test_kimg_end_a_run_and_a_resumed_one_does_not_go_on(tmp_path: Path) -> None:
    for resume in (False, True):
        model = Model()
        result = fit(model, stages(model, (100,)), Engine(run=tmp_path, kimg=0.03, resume=resume))
        assert (result.reason, result.seen) == ("kimg", 32)  # batches of 4: the first count that is not below 30
    with pytest.raises(UsageError, match="kimg must be positive, got 0"):
        Engine(kimg=0)


class Log(Callback):
    """Notes what it is told, and ends the run at a step."""

    def __init__(self, end: int):
        self.told: list[tuple[str, int]] = []
        self.end = end

    def on_start(self, step: int, seen: int) -> None:
        self.told.append(("start", step))

    def on_step(self, progress: Progress) -> str | None:
        self.told.append(("step", progress.step))
        return "enough" if progress.step == self.end else None

    def on_record(self, step: int, values: Mapping[str, float]) -> None:
        assert values["loss"] > 0
        self.told.append(("record", step))

    def on_save(self, step: int) -> None:
        self.told.append(("save", step))


def test_callbacks_are_told_in_order_and_may_end_the_run(tmp_path: Path) -> None:
    model, log, losses = Model(), Log(3), Losses()
    result = fit(model, stages(model, (9,)), Engine(run=tmp_path, log_every=2, callbacks=[log, losses]))
    assert (result.reason, result.step) == ("enough", 3)
    assert log.told == [("start", 0), ("step", 1), ("record", 2), ("step", 2), ("step", 3), ("save", 3)]
    assert losses.values[-1] == result.loss
    again = Log(4)
    fit(model, stages(model, (9,)), Engine(run=tmp_path, log_every=2, callbacks=[again], resume=True))
    assert again.told == [("start", 3), ("record", 4), ("step", 4), ("save", 4)]


def test_patience_ends_a_run_that_does_not_get_better() -> None:
    model = linear()
    for group in (stage := plain(model, steps=100)[0]).updates:
        group.optimizer = OptimizerSpec(lr=1e-12)
    stage.data = Same()
    result = fit(model, [stage], Engine(callbacks=[Patience(20, window=5)]))
    assert (result.reason, result.step) == ("no progress", 25)
    with pytest.raises(UsageError, match="must be at least 1, got 0 and 5"):
        Patience(0, 5)


class Same(Rows):
    """One batch for ever."""

    def __iter__(self) -> Iterator[Batch]:
        first = next(super().__iter__())
        while True:
            yield first


def test_data_that_end_are_named() -> None:
    model = linear()
    stage = plain(model)[0]
    stage.data = iter([])  # type: ignore[assignment]
    with pytest.raises(OrnsteinError, match="the data of stage 'only' ended before its 5 steps"):
        fit(model, [stage], Engine())


def test_records_of_several_players_and_their_logs(tmp_path: Path) -> None:
    model = Model()
    fit(model, stages(model, (4,)), Engine(run=tmp_path, log_every=2))
    first, second = read_metrics(tmp_path)
    assert {"loss", "loss/player_0", "loss/player_1", "grad_norm/player_1", "lr/player_0"} <= set(second)
    assert first["loss/player_1"] == pytest.approx(second["loss/player_1"], rel=10)
    single = linear()
    fit(single, plain(single, steps=2), Engine(run=tmp_path / "one", log_every=2))
    assert read_metrics(tmp_path / "one")[0]["rows"] == 12


def test_a_half_written_record_is_passed_over(tmp_path: Path) -> None:
    model = Model()
    fit(model, stages(model, (4,)), Engine(run=tmp_path, log_every=1))
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 5, "lo')
    assert [r["step"] for r in read_metrics(tmp_path)] == [1, 2, 3, 4]
    again = Model()
    fit(again, stages(again, (6,)), Engine(run=tmp_path, log_every=1, resume=True))
    records: list[Any] = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]


def test_a_resume_under_other_numerics_says_so(tmp_path: Path) -> None:
    model = Model()
    fit(model, stages(model, (2,)), Engine(run=tmp_path))
    result = fit(model, stages(model, (4,)), Engine(run=tmp_path, resume=True, accumulate=2))
    assert result.notes == ("the resumed run will not be equal to the last bit: accumulate is 2, was 1",)


def test_another_number_of_players_cannot_resume(tmp_path: Path) -> None:
    model = Model()
    fit(model, stages(model, (2,)), Engine(run=tmp_path))
    (stage,) = stages(model, (4,))
    stage.updates.pop()
    with pytest.raises(CheckpointError, match="holds 2 optimisers, this stage has 1"):
        fit(model, [stage], Engine(run=tmp_path, resume=True))
