"""Systems that are told a picture: how it is made in training, taken in use, and refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ornstein
from ornstein.codecs.residual import Residual
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random, Stream
from ornstein.measurements import JPEG, Grey, Mask, Measurement, average_pooling, bicubic, enlarged
from ornstein.networks.pasted import Pasted
from ornstein.networks.rrdb import Encoded, RRDBEncoder
from ornstein.objectives.told import Telling
from ornstein.recipes import house
from ornstein.recipes.cascade import Cascade
from ornstein.recipes.restoration.generative_colorization import coloured, line_art
from ornstein.recipes.restoration.palette import Palette
from ornstein.recipes.restoration.reduced import NAME, reduced
from ornstein.recipes.system import System

TINY: dict[str, Any] = {"size": 8, "channels": 1, "widths": (32,), "blocks": 1, "patch": 1}


def built(name: str, **settings: Any) -> System:
    return house.build(name, settings={**TINY, **settings})


def test_training_is_told_what_use_is_told() -> None:
    """The same picture: reduced in training from the data, in use by the measurement."""
    seen = []

    def keep(batch: Batch, rng: Random) -> Loss:
        seen.append(batch)
        return Loss(torch.zeros(()))

    told = reduced((1, 8, 8), 4)
    x = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 2])
    Telling(keep, told)(Batch(x, {"label": label}), Stream(0))
    (batch,) = seen
    assert torch.equal(batch.x, x) and torch.equal(batch.cond["label"], label)
    operator = bicubic((1, 8, 8), 4)
    y = operator(x.float() / 127.5 - 1)
    torch.testing.assert_close(batch.cond[NAME], enlarged(y, (8, 8)))
    torch.testing.assert_close(told.of_measurement(Measurement(y, operator)), batch.cond[NAME])


def test_a_flat_picture_is_enlarged_flat() -> None:
    torch.testing.assert_close(enlarged(torch.full((1, 3, 2, 2), 0.3), (8, 6)), torch.full((1, 3, 8, 6), 0.3))


def test_a_told_system_draws_from_what_it_is_told() -> None:
    system = built("sr3")
    torch.nn.init.normal_(next(p for n, p in system.denoiser.named_parameters() if n.endswith("out_gain")), std=1.0)
    low = torch.linspace(-1, 1, 4).reshape(1, 1, 2, 2)
    given = Measurement(torch.cat([low, -low]), bicubic((1, 8, 8), 4))
    made = ornstein.restore(system, given, n=2, steps=3, seed=5)
    assert made.tensor.shape == (4, 1, 8, 8) and made.seeds == [5, 6, 7, 8]
    assert (made.provenance["restoration"], made.provenance["steps"]) == ("trained", 3)
    alone = system.sample(1, steps=3, seed=7, low_res=enlarged(-low, (8, 8)))
    torch.testing.assert_close(made.tensor[2:3], alone.tensor, atol=1e-5, rtol=0)
    other = system.sample(1, steps=3, seed=7, low_res=enlarged(low, (8, 8)))
    missing = system.sample(1, steps=3, seed=7)
    assert not torch.equal(other.tensor, alone.tensor) and not torch.equal(missing.tensor, alone.tensor)
    # Another method takes the same model as a prior without a condition.
    assert ornstein.restore(system, given, method="ddrm", steps=2).provenance["restoration"] == "ddrm"


def test_what_a_told_system_refuses() -> None:
    system = built("sr3")
    with pytest.raises(DataError, match=r"low_res takes floats \(1, 8, 8\).* got \(2, 1, 8, 8\)"):
        system.sample(3, low_res=torch.zeros(2, 1, 8, 8))
    with pytest.raises(DataError, match=r"low_res lies in \[-1, 1\]; this one reaches 255"):
        system.sample(1, low_res=torch.full((1, 8, 8), 255.0))
    with pytest.raises(UsageError, match="unknown condition 'low_rse': did you mean 'low_res'"):
        system.sample(1, low_rse=torch.zeros(1, 8, 8))
    pooled = average_pooling((1, 8, 8), 4)
    with pytest.raises(
        CapabilityError, match=r"trained on a 4x bicubic reduction .* not on a 4x average pooling.*ddrm"
    ):
        ornstein.restore(system, Measurement(torch.zeros(1, 1, 2, 2), pooled))
    with pytest.raises(UsageError, match="starts from noise and has no options"):
        ornstein.restore(system, Measurement(torch.zeros(1, 1, 2, 2), bicubic((1, 8, 8), 4)), strength=0.5)


def test_a_cascade_tells_its_last_stage_what_its_first_drew() -> None:
    small: dict[str, Any] = {"sampling_steps": 2, "base_sampling_steps": 2, "classes": ("a", "b")}
    system = built("cdm", **small, level=0.2)
    assert isinstance(system, Cascade) and system.base is not None and system.base.data_shape == (1, 4, 4)
    three = system.conditions([5, 6, 9], {})
    assert three[NAME].shape == (3, 2, 8, 8) and three["label"].tolist() == [1, 0, 1]
    assert bool((three[NAME][:, 1] == 0.2).all())
    # A seed's small picture depends on the seed alone, and is not made of the numbers that start the large one.
    torch.testing.assert_close(system.conditions([9], {})[NAME], three[NAME][2:], atol=1e-5, rtol=0)
    clean = built("cdm", **small, level=0.0)
    clean.modules.load_state_dict(system.modules.state_dict())
    assert clean.base is not None
    told = clean.conditions([5], {"label": "b"})[NAME]
    drawn = clean.base.sample(1, seed=2**32 + 5, label="b").tensor
    torch.testing.assert_close(told[:, :1], enlarged(drawn, (8, 8), bound=10.0), atol=1e-5, rtol=0)
    given = torch.zeros(2, 8, 8)
    assert torch.equal(system.conditions([1, 2], {NAME: given})[NAME], given.expand(2, 2, 8, 8))


def test_a_cascade_is_trained_on_noise_of_every_level() -> None:
    told = built("cdm").told
    assert told is not None
    x = torch.zeros(400, 1, 8, 8)
    seen = told.of_data(x, Stream(0))
    level, spread = seen[:, 1, 0, 0], seen[:, 0].std((1, 2))
    assert float(level.min()) < 0.02 and float(level.max()) > 0.98
    assert float(spread[level < 0.1].mean()) < 0.5 * float(spread[level > 0.5].mean())
    operator = bicubic((1, 8, 8), 2)
    found = told.of_measurement(Measurement(operator(x[:1] + 0.5), operator))
    assert bool((found[:, 1] == 0).all()) and float((found[:, 0] - 0.5).abs().max()) < 1e-6
    with pytest.raises(CapabilityError, match=r"without noise. Methods that take noise: ddrm"):
        told.of_measurement(Measurement(operator(x[:1]), operator, 0.1))


def test_both_stages_of_a_cascade_are_trained() -> None:
    system = built("cdm", steps=10, base_steps=3)
    stages = list(system.stages([]))
    assert [(s.name, s.steps) for s in stages] == [("base", 3), ("enlarging", 7)]
    first, last = ({id(p) for p in s.updates[0].params} for s in stages)
    assert first.isdisjoint(last) and len(first | last) == len(list(system.modules.parameters()))


def hole() -> Mask:
    known = torch.ones(1, 8, 8)
    known[:, 2:6, 2:6] = 0
    return Mask(known)


def test_palette_fills_a_hole_and_keeps_the_rest() -> None:
    system, mask = built("palette"), hole()
    torch.nn.init.normal_(next(p for n, p in system.denoiser.named_parameters() if n.endswith("out_gain")), std=1.0)
    x = torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    made, leaky = (ornstein.restore(system, Measurement(y, mask), n=2, steps=4).tensor for y in (mask(x), x))
    assert torch.equal(mask(made), mask(x).repeat_interleave(2, 0)) and torch.equal(made, leaky)
    inside = made[..., 2:6, 2:6]
    assert not torch.equal(inside[0], inside[1])


def test_only_the_hole_is_noised_and_learned() -> None:
    seen = []

    class Inner(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
            seen.append(x)
            return torch.full_like(x, 0.5, requires_grad=True)

    y = torch.full((2, 1, 8, 8), 0.25)
    given = torch.cat([y * hole().known.float(), hole().known.float().expand(2, 1, 8, 8)], 1)
    given[1] = torch.nan  # missing: all is noise, all is learned
    x = torch.full((2, 1, 8, 8), 9.0)
    out = Pasted(Inner(), "known")(x, torch.zeros(2), {"known": given})
    known = hole().known.bool()
    assert (
        bool((seen[0][0][known] == 0.25).all())
        and bool((seen[0][0][~known] == 9).all())
        and bool((seen[0][1] == 9).all())
    )
    assert bool((out[0][known] == 0.25).all()) and bool((out[0][~known] == 0.5).all()) and bool((out[1] == 0.5).all())
    with pytest.raises(UsageError, match=r"a picture and its mask, \(2, 2, 8, 8\), got \(2, 1, 8, 8\)"):
        Pasted(Inner(), "known")(x, torch.zeros(2), {"known": y})


def test_palettes_training_masks() -> None:
    x, rng = torch.ones(200, 1, 8, 8), Stream(0)
    holed = Palette(size=8, channels=1).told().of_data(x, rng)
    known = holed[:, 1]
    assert torch.equal(holed[:, 0], known) and set(known.unique().tolist()) == {0.0, 1.0}
    hidden = (1 - known).flatten(1).sum(1)
    assert float(hidden.min()) >= 4 and float(hidden.max()) <= 36 and len(hidden.unique()) > 8
    halves = Palette(size=8, channels=1, task="uncropping").told().of_data(x, rng)[:, 1]
    assert bool((halves.flatten(1).sum(1) == 32).all()) and len(halves.unique(dim=0)) == 4


def test_palettes_other_tasks() -> None:
    x = torch.rand((6, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    colour = Palette(size=8, channels=3, task="colorization").told()
    given = colour.of_data(x, Stream(0))
    assert torch.equal(given[:, 0], given[:, 2]) and not bool(given[:, 3].any())
    torch.testing.assert_close(colour.of_measurement(Measurement(Grey()(x), Grey())), given)
    repair = Palette(size=8, channels=3, task="jpeg", quality=(5, 60)).told()
    mended = repair.of_data(x, Stream(0))[:, :3]
    low, high = JPEG(5)(x), JPEG(60)(x)
    from_low = (mended == low).flatten(1).all(1)
    assert bool((from_low | (mended == high).flatten(1).all(1)).all()) and 0 < int(from_low.sum()) < 6
    with pytest.raises(CapabilityError, match=r"trained for jpeg, not for a grey value.*ddrm"):
        repair.of_measurement(Measurement(Grey()(x), Grey()))
    fill = Palette(size=8, channels=3).told()
    with pytest.raises(CapabilityError, match="trained to fill in what a mask hides, not for a JPEG"):
        fill.of_measurement(Measurement(x, JPEG(5)))
    with pytest.raises(CapabilityError, match="hide all channels of a pixel"):
        odd = torch.ones(3, 8, 8)
        odd[0, :4] = 0
        fill.of_measurement(Measurement(x * odd, Mask(odd)))


def test_a_residual_goes_there_and_back() -> None:
    y = torch.rand((2, 1, 2, 2), generator=torch.Generator().manual_seed(0)) - 0.5
    up = enlarged(y, (8, 8))
    codec = Residual("small", (8, 8), 2.0)
    x = up + 0.45 * (torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(1)) * 2 - 1)
    state = codec.encode(x, Stream(0), {"small": y})
    torch.testing.assert_close(state, 2 * (x - up))
    torch.testing.assert_close(codec.decode(state, {"small": y}), x)
    cut = codec.encode((up + 0.8).clamp(max=1.4), Stream(0), {"small": y})
    assert float(cut.max()) == 1.0
    # Without a small picture, or with one that is missing, nothing is added.
    missing = {"small": torch.full_like(y, torch.nan)}
    assert torch.equal(codec.decode(state), codec.decode(state, missing)) and torch.equal(
        codec.decode(state), state / 2
    )
    with pytest.raises(UsageError, match="factor of a residual must be positive"):
        Residual("small", (8, 8), 0.0)


def test_the_encoder_learns_first_and_then_rests() -> None:
    system = built("srdiff", encoder_width=8, encoder_blocks=3, scale=2, steps=9, precision="fp32")
    first, last = system.stages([])
    assert [(s.name, s.steps) for s in (first, last)] == [("encoder", 3), ("denoiser", 6)]
    encoder, others = ({id(p) for p in s.updates[0].params} for s in (first, last))
    assert encoder.isdisjoint(others) and len(encoder | others) == len(list(system.denoiser.parameters()))
    batch = Batch(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    first.updates[0].objective(batch, Stream(0)).value.backward()
    assert all(p.grad is not None for p in first.updates[0].params)
    system.denoiser.zero_grad()
    torch.nn.init.normal_(next(p for n, p in system.denoiser.named_parameters() if n.endswith("out_gain")), std=1.0)
    last.updates[0].objective(batch, Stream(0)).value.backward()
    assert not any(p.grad is not None and bool(p.grad.any()) for p in first.updates[0].params)
    assert all(p.grad is not None for n, p in system.denoiser.named_parameters() if "enlarge" in n)


def test_an_encoder_has_the_size_of_the_large_picture() -> None:
    for scale in (1, 2, 3, 4):
        encoder = RRDBEncoder(1, scale, width=4, blocks=4)
        small = torch.zeros(2, 1, 3, 3)
        assert encoder(small).shape == (2, 1, 3 * scale, 3 * scale) and encoder.features(small).shape == (2, 4, 3, 3)
        seen = []

        class Inner(torch.nn.Module):
            def forward(self, x: torch.Tensor, t: torch.Tensor, cond: Cond = NO_COND) -> torch.Tensor:
                seen.append(cond["features"].shape)  # noqa: B023 - called in this turn of the loop
                return x

        Encoded(Inner(), encoder, 5, "small", "features")(
            torch.zeros(2, 1, 3 * scale, 3 * scale), torch.zeros(2), {"small": small}
        )
        assert seen == [(2, 5, 3 * scale, 3 * scale)]


def test_lines_are_where_the_grey_value_changes() -> None:
    x = torch.full((1, 3, 6, 6), -0.5)
    x[..., 3:] = 0.5
    lines = line_art(x)
    # Sobel's gradient of a step of 1 is 1/2 on both of its sides; twice that is 1, the brightest.
    expected = torch.full((1, 1, 6, 6), -1.0)
    expected[..., 2:4] = 1.0
    torch.testing.assert_close(lines, expected)
    torch.testing.assert_close(line_art(x.mT), expected.mT)
    shift = torch.tensor([0.587, -0.299, 0.0])[:, None, None]  # of one grey value
    torch.testing.assert_close(line_art(x + 0.5 * shift * (x > 0)), expected)


def test_a_coloured_start_is_the_noised_colour() -> None:
    system = built("generative-colorization", channels=3, moves=0)
    assert system.sampler.name == "ancestral" and built("generative-colorization").sampler.name == "predictor_corrector"
    lines, colour = torch.zeros(64, 1, 8, 8), torch.tensor([0.8, 0.0, -0.8])
    system.clip = None
    made = coloured(system, lines, colour, signal=0.9, steps=1)
    # The untrained network predicts eps = 0: one step divides the start by alpha.
    start = made.tensor.mean((0, 2, 3))
    torch.testing.assert_close(start, colour * start[0] / colour[0], atol=0.05, rtol=0)
    assert float(start[0]) > 0.6 and made.provenance["signal"] == 0.9
    torch.testing.assert_close(
        coloured(system, lines[:1], colour, signal=0.9, steps=1, seed=3).tensor, made.tensor[3:4]
    )
    with pytest.raises(UsageError, match=r"signal in \(0, 1\)"):
        coloured(system, lines, colour, signal=1.0)
    with pytest.raises(UsageError, match="'sr3' is told no lines"):
        coloured(built("sr3"), lines, colour)
    with pytest.raises(DataError, match=r"a colour has 3 values in \[-1, 1\], got \[255"):
        coloured(system, lines, colour + 255)
    with pytest.raises(DataError, match=r"lines are \(1, 8, 8\) each, got \(3, 8, 8\)"):
        coloured(system, lines.expand(64, 3, 8, 8), colour)
    with pytest.raises(CapabilityError, match="colours lines, and grey value measures none"):
        ornstein.restore(system, Measurement(lines, Grey()))


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("cdm", {"level": 1.5}, "level, the time .* lies in"),
    ("cdm", {"base_steps": 0}, "must be at least 1, got 0 and 100"),
    ("generative-colorization", {"snr": 0.0}, "the corrector needs snr > 0"),
    ("palette", {"task": "colorization"}, "needs pictures of 3 channels, got 1"),
    ("palette", {"quality": (0,)}, "quality of JPEG lies in 1 .. 100"),
    ("srdiff", {"factor": 0.0}, "factor must be positive"),
    ("srdiff", {"encoder_steps": 0}, "must be at least 1, got 0 and 32"),
    ("sr3", {"scale": 1}, "scale must be at least 2"),
    ("sr3", {"scale": 3}, "scale 3 does not divide 8"),
    ("sr3", {"beta_1": 0.0}, "0 < beta_1 <= beta_T < 1"),
    ("sr3", {"chain": 100}, "leaves .* of the signal's power at its end"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD)
def test_bad_settings(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(name, **settings)
