"""Pictures from layouts: the one-hot maps, the network that is told them in its decoder, the recipe, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random, Stream
from ornstein.data import Images
from ornstein.measurements import JPEG, Measurement
from ornstein.networks.layers.conditioning import ClassCondition, ImageCondition
from ornstein.networks.spade import Spade, SpadeUNet
from ornstein.recipes import house
from ornstein.recipes.restoration.semantic_diffusion_model import LaidOut, SemanticDiffusion, one_hot

TINY: dict[str, Any] = {"size": 8, "channels": 1, "regions": 3, "widths": (8, 16), "head": 8, "hidden": 4, "batch": 8}


def network(**more: Any) -> SpadeUNet:
    out = SpadeUNet(
        channels=2, layout=ImageCondition("layout", 3), widths=(8, 16), blocks=1, attention=(), head=8, hidden=4, **more
    )
    for p in out.parameters():
        nn.init.normal_(p, std=0.3)
    return out


def test_one_channel_a_region_and_one_of_outlines() -> None:
    maps = torch.tensor([[[[0, 2], [1, 2]]]], dtype=torch.uint8)
    assert one_hot(maps, 3)[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]]
    instances = torch.tensor([[7, 7, 7, 9], [7, 7, 7, 9], [7, 7, 7, 7]])
    both = torch.stack([torch.zeros(3, 4, dtype=torch.int64), instances])[None]
    edges = one_hot(both, 1, edges=True)[0, 1]
    assert edges.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]


def test_a_layout_modulates_a_norm_and_none_leaves_it_alone() -> None:
    spade, h = Spade(8, 3, 4), torch.randn(2, 8, 4, 4)
    layout = torch.zeros(2, 3, 8, 8)
    layout[1, 1] = 1
    for p in spade.parameters():
        nn.init.zeros_(p)
    torch.testing.assert_close(spade(h, layout), torch.nn.functional.group_norm(h, spade.groups))
    nn.init.ones_(spade.shared.weight)
    with torch.no_grad():
        spade.both.weight[8:, :, 1, 1] = 1.0  # beta alone: the count of the layout's ones around each pixel
    shift = spade(h, layout).detach() - torch.nn.functional.group_norm(h, spade.groups)
    assert float(shift[0].abs().max()) < 1e-6
    assert shift[1, 0, 1, 1] == pytest.approx(9 * 4, abs=1e-3) and shift[1, 0, 0, 0] == pytest.approx(4 * 4, abs=1e-3)


def test_the_encoder_is_not_told_the_layout() -> None:
    net, x, t = network(conditions=(ClassCondition("label", 2),)), torch.randn(2, 2, 8, 8), torch.tensor([100.0, 500.0])
    seen: list[Tensor] = []
    net.middle[0].register_forward_hook(lambda module, inputs, out: seen.append(inputs[0]))
    layout = torch.rand(2, 3, 8, 8)
    label = torch.tensor([0, 1])
    told, other = (net(x, t, {"layout": v, "label": label}) for v in (layout, layout.flip(0)))
    assert torch.equal(seen[0], seen[1]) and (told - other).flatten(1).abs().amax(1).min() > 1e-4
    # A missing layout is the zero map; rows do not see each other's.
    absent, half = net(x, t, {"label": label}), layout.clone()
    half[0] = torch.nan
    partly = net(x, t, {"layout": half, "label": label})
    torch.testing.assert_close(partly[0], absent[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(partly[1], told[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net(x, t, {"layout": torch.zeros(2, 3, 8, 8), "label": label}), absent)
    smaller = net(x, t, {"layout": torch.nn.functional.interpolate(layout, size=4), "label": label})
    assert smaller.shape == x.shape
    with pytest.raises(UsageError, match=r"must be floats \[2, 3, H, W\], got \(2, 4, 8, 8\)"):
        net(x, t, {"layout": torch.zeros(2, 4, 8, 8)})
    with pytest.raises(UsageError, match="7 x 8 cannot be halved 1 times"):
        net(x[..., 1:, :], t)
    with pytest.raises(UsageError, match="reads one picture, its layout"):
        network(conditions=(ImageCondition("other", 1),))
    with pytest.raises(UsageError, match="a SpadeUNet needs positive sizes"):
        SpadeUNet(channels=0, layout=ImageCondition("layout", 3))


def regions(n: int = 16) -> Images:
    """Noise whose left half is region 2 and whose right half is region 1."""
    maps = np.ones((n, 1, 8, 8), np.uint8)
    maps[..., :4] = 2
    return Images(np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8), conds={"regions": maps})


def test_trained_on_maps_saved_loaded_and_drawn(tmp_path: Path) -> None:
    settings = {k: v for k, v in TINY.items() if k not in ("size", "channels")}
    trained, result = ornstein.train(
        "semantic-diffusion-model", data=regions(), out=tmp_path / "run", settings=settings, steps=2
    )
    loaded = ornstein.load(tmp_path / "run")
    layout = one_hot(torch.from_numpy(regions(2).conds["regions"]), 3)
    a, b = (s.sample(2, steps=3, seed=1, layout=layout).tensor for s in (trained, loaded))
    assert np.isfinite(result.loss) and torch.equal(a, b) and a.shape == (2, 1, 8, 8)
    assert not torch.equal(loaded.sample(2, steps=3, seed=1).tensor, a)


def test_maps_of_the_data_become_the_condition() -> None:
    seen: list[Batch] = []

    def keep(batch: Batch, rng: Random) -> Loss:
        seen.append(batch)
        return Loss(torch.zeros(()))

    c = SemanticDiffusion(size=8, channels=1, regions=3)
    batch = regions()[slice(0, 4)]
    LaidOut(keep, c)(batch, Stream(0))
    assert set(seen[0].cond) == {"layout"} and torch.equal(seen[0].x, batch.x)
    assert torch.equal(seen[0].cond["layout"], one_hot(batch.cond["regions"], 3))
    with pytest.raises(DataError, match="these data have no 'regions'"):
        LaidOut(keep, c)(Batch(batch.x), Stream(0))
    with pytest.raises(DataError, match=r"maps of \(4, 8\) do not fit pictures of \(8, 8\)"):
        LaidOut(keep, c)(Batch(batch.x, {"regions": batch.cond["regions"][..., :4, :]}), Stream(0))


def test_what_layouts_refuse() -> None:
    with pytest.raises(DataError, match=r"holds region 5, and the model knows 0 \.\. 2; set regions"):
        one_hot(torch.full((1, 1, 2, 2), 5), 3)
    with pytest.raises(DataError, match="holds region -1"):
        one_hot(torch.full((1, 1, 2, 2), -1), 3)
    with pytest.raises(DataError, match=r"a layout holds whole numbers, one a region; got torch\.float32"):
        one_hot(torch.zeros(1, 1, 2, 2), 3)
    with pytest.raises(DataError, match=r"layouts are \[B, 2, H, W\], got \(1, 1, 2, 2\)"):
        one_hot(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), 3, edges=True)
    system = house.build("semantic-diffusion-model", settings=TINY)
    with pytest.raises(DataError, match=r"layout takes floats \(3, 8, 8\)"):
        system.sample(1, layout=torch.zeros(3, 4, 4))
    with pytest.raises(CapabilityError, match="this model draws from layouts, and JPEG measures none"):
        ornstein.restore(system, Measurement(torch.zeros(1, 1, 8, 8), JPEG(50)))
    for name, value, words in (
        ("guidance", -0.5, "it must be at least 0, got -0.5"),
        ("regions", 0, "regions must be at least 1"),
        ("sampling_steps", 2000, r"sampling_steps must lie in 1 \.\. 1000"),
        ("vlb_weight", 0.0, "vlb_weight must be positive"),
    ):
        with pytest.raises(UsageError, match=words):
            house.build("semantic-diffusion-model", settings={name: value})
