"""Finding instances: boxes, masks made of filters, matching, training, renewal, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import ornstein
from ornstein.core.batch import Batch
from ornstein.core.boxes import centred, corners, giou, iou, suppress
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.instances import FILTERS, MAPS, Found, mask_logits
from ornstein.core.rng import Rng, Stream
from ornstein.data import Images, shapes
from ornstein.networks.instances import box_features
from ornstein.objectives.instances import FindingInstances, focal, match
from ornstein.recipes import house
from ornstein.recipes.perception.diffusion_inst import Detector
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.table import get

TINY: dict[str, Any] = {
    "size": 16,
    "channels": 1,
    "width": 16,
    "head": 8,
    "proposals": 6,
    "batch": 4,
    "precision": "fp32",
}


def built(**settings: Any) -> Detector:
    system = house.build("diffusion-inst", settings={**TINY, **settings})
    assert isinstance(system, Detector)
    return system


def objective(system: Detector) -> FindingInstances:
    (stage,) = system.stages([])
    found = stage.updates[0].objective
    assert isinstance(found, FindingInstances)
    return found


def test_overlaps_of_boxes() -> None:
    a = torch.tensor([[0.0, 0.0, 0.4, 0.4], [0.2, 0.2, 0.6, 0.6], [0.6, 0.6, 1.0, 1.0]])
    torch.testing.assert_close(corners(centred(a)), a)
    table = iou(a[:, None], a[None])
    torch.testing.assert_close(table.diagonal(), torch.ones(3))
    assert abs(float(table[0, 1]) - 0.04 / 0.28) < 1e-6 and float(table[0, 2]) == 0
    # Apart: -(1 - union / the box around both).
    assert abs(float(giou(a[0], a[2])) + (1 - 0.32)) < 1e-6
    assert abs(float(giou(a[0], a[1])) - (0.04 / 0.28 - (0.36 - 0.28) / 0.36)) < 1e-6
    near = torch.cat([a, a[:1] + 0.01])
    kept = suppress(near, torch.tensor([0.5, 0.6, 0.1, 0.9]), 0.5)
    assert kept.tolist() == [3, 1, 2]
    assert suppress(a[:0], torch.zeros(0), 0.5).tolist() == []


def test_features_of_a_box_are_the_pictures_values_there() -> None:
    place = (torch.arange(8) + 0.5) / 8
    picture = torch.stack([place.expand(8, 8), place[:, None].expand(8, 8)])[None]  # x, and y
    boxes = torch.tensor([[[0.25, 0.5, 0.75, 0.875]]])
    inside = box_features(picture, boxes, span=4)
    assert inside.shape == (1, 1, 2, 4, 4)
    cell = (torch.arange(4) + 0.5) / 4
    torch.testing.assert_close(inside[0, 0, 0], (0.25 + 0.5 * cell).expand(4, 4))
    torch.testing.assert_close(inside[0, 0, 1], (0.5 + 0.375 * cell)[:, None].expand(4, 4))


def test_masks_are_three_convolutions() -> None:
    torch.manual_seed(0)
    filters, maps = torch.randn(2, 3, FILTERS), torch.randn(2, MAPS, 4, 4)
    made = mask_logits(filters, maps, (4, 4))
    f = filters[1, 2]
    y = F.relu(F.conv2d(maps[1:], f[:64].reshape(8, 8, 1, 1), f[64:72]))
    y = F.relu(F.conv2d(y, f[72:136].reshape(8, 8, 1, 1), f[136:144]))
    torch.testing.assert_close(made[1, 2], F.conv2d(y, f[144:152].reshape(1, 8, 1, 1), f[152:])[0, 0])
    assert FILTERS == 153 and mask_logits(filters, maps, (8, 6)).shape == (2, 3, 8, 6)


def test_focal_loss_is_cross_entropy_where_nothing_is_easy() -> None:
    logits, target = torch.randn(20, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2 * 1.0
    plain = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    torch.testing.assert_close(focal(logits, target, alpha=0.5, gamma=0.0), plain / 2)
    assert float(focal(torch.tensor(9.0), torch.tensor(1.0))) < 1e-9


def test_things_are_matched_to_the_proposals_that_hold_them() -> None:
    things = torch.tensor([[[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9], [0.0, 0.0, 0.0, 0.0]]])
    guesses = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.12, 0.1, 0.4, 0.4], [0.5, 0.5, 0.88, 0.9], [0.0, 0.8, 0.1, 1.0]])
    logits = torch.zeros(1, 4, 2)
    found = Found(logits, centred(guesses)[None], torch.zeros(1, 4, FILTERS), torch.zeros(1, MAPS, 4, 4))
    of = match(found, things, torch.tensor([[0, 1, -1]]))
    # The first thing's overlaps add up to 1.9: one proposal; rounding down is the rule.
    assert of.tolist() == [[0, -1, 1, -1]]
    twice = torch.cat([guesses[:1], guesses[:1], guesses[2:]])
    found = found._replace(boxes=centred(twice)[None])
    assert match(found, things, torch.tensor([[0, 1, -1]])).tolist() == [[0, 0, 1, -1]]
    assert match(found, things, torch.tensor([[-1, -1, -1]])).tolist() == [[-1, -1, -1, -1]]


def test_drawn_shapes_hold_what_they_say() -> None:
    images = shapes(40, size=24, seed=1, channels=3)
    again = shapes(40, size=24, seed=1, channels=3)
    assert np.array_equal(images.x, again.x) and images.shape == (3, 24, 24)
    boxes, kinds, masks = (images.conds[n] for n in ("boxes", "kinds", "masks"))
    assert set(np.unique(kinds)) == {-1, 0, 1} and bool((kinds >= 0).any(1).all())
    assert int(masks.sum(1).max()) == 1  # what is seen of one thing is not seen of another
    for i, j in np.argwhere(kinds >= 0):
        rows, columns = np.nonzero(masks[i, j])
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 24
        np.testing.assert_allclose(boxes[i, j], box)
        assert images.x[i][:, masks[i, j] > 0].mean() > images.x[i][:, masks[i].sum(0) == 0].mean() + 30
    assert not masks[kinds < 0].any()
    with pytest.raises(UsageError, match="size >= 8 and most >= 1"):
        shapes(4, size=4)


def batch_of(images: Images) -> Batch:
    return images[np.arange(len(images))]


def test_training_starts_from_the_true_boxes_and_reaches_every_weight() -> None:
    system = built()
    loss = objective(system)
    batch = batch_of(shapes(4, size=16))
    there = batch.cond["kinds"] >= 0
    start = loss.start(batch.cond["boxes"], there, Stream(0))
    assert start.shape == (4, 6, 4)
    torch.testing.assert_close(corners(start[:, :3])[there], batch.cond["boxes"][there])
    assert bool((start[..., 2:] > 0).all())
    result = loss(batch, Stream(0))
    assert set(result.logs) == {"focal", "l1", "giou", "dice"}
    result.value.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in system.denoiser.parameters())


def test_the_true_answer_costs_nothing() -> None:
    loss, batch = objective(built()), batch_of(shapes(3, size=16, most=1))
    boxes, kinds, masks = (batch.cond[n] for n in ("boxes", "kinds", "masks"))
    # A map that is the mask, and filters that hand it on.
    maps = torch.zeros(3, MAPS, 16, 16)
    maps[:, 0] = masks[:, 0].float()
    filters = torch.zeros(3, 1, FILTERS)
    filters[..., [0, 72]] = 1
    filters[..., 144], filters[..., 152] = 40, -20
    logits = 20 * (2 * F.one_hot(kinds, 2).float() - 1)
    parts = loss.losses(Found(logits, centred(boxes), filters, maps), boxes, kinds, masks.float())
    assert all(float(v) < 1e-4 for v in parts.values())
    wrong = loss.losses(Found(-logits, centred(boxes) + 0.05, -filters, maps), boxes, kinds, masks.float())
    assert all(float(wrong[k]) > 0.1 for k in parts)


def test_boxes_without_a_find_are_drawn_anew() -> None:
    finder = built().finder
    x, grid = torch.randn(2, 6, 4), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    cond = {"image": torch.zeros(2, 1, 16, 16)}
    for threshold, renewed in ((1.0, True), (0.0, False)):
        states: list[torch.Tensor] = []

        def keep(step: Step) -> None:
            states.append(step.x)  # noqa: B023 - called in this turn of the loop

        with torch.no_grad():
            last = simulate(
                get("box_renewal", options={"threshold": threshold})(finder), x, grid, Rng([3, 4]), cond, keep
            )
        rng = Rng([3, 4])
        rng.normal_like(x)
        assert torch.equal(states[0], rng.normal_like(x)) is renewed
        assert float(last.abs().max()) <= finder.scale  # the last step keeps its boxes
    with pytest.raises(CapabilityError, match="needs a denoiser of boxes"):
        get("box_renewal")(ornstein.build("ddpm", size=8).denoiser)
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\], got 2"):
        get("box_renewal", options={"threshold": 2.0})(finder)


def test_finding_depends_on_the_picture_and_its_seed_only() -> None:
    system = built()
    x = torch.from_numpy(shapes(3, size=16).x)
    for steps, proposals in ((1, 6), (3, 9)):
        many = system.find(x, steps=steps, proposals=proposals, score=0.0, overlap=1.0, seed=5)
        assert [len(f) for f in many] == [steps * proposals] * 3
        alone = system.find(x[1], steps=steps, proposals=proposals, score=0.0, overlap=1.0, seed=6)[0]
        torch.testing.assert_close(alone.boxes, many[1].boxes, atol=1e-5, rtol=0)
    best = many[0]
    assert bool((best.scores.diff() <= 0).all()) and best.masks.shape == (27, 16, 16)
    rows, columns = best.masks[0].nonzero().unbind(1)
    x1, y1, x2, y2 = best.boxes[0].tolist()
    assert bool(((columns + 0.5) / 16 >= x1).all()) and bool(((columns + 0.5) / 16 <= x2).all())
    assert bool(((rows + 0.5) / 16 >= y1).all()) and bool(((rows + 0.5) / 16 <= y2).all())
    assert len(system.find(x, score=1.0)[0]) == 0
    boxes = system.sample(3, image=x, seed=5).tensor
    assert boxes.shape == (3, 6, 4) and bool((boxes[..., 2:] >= boxes[..., :2]).all())


def changed(**conds: torch.Tensor) -> Batch:
    batch = batch_of(shapes(2, size=16))
    return Batch(batch.x, {**batch.cond, **conds})


def test_bad_annotations() -> None:
    loss, good = objective(built()), changed()
    boxes = good.cond["boxes"].clone()
    boxes[0, 0, 2] = 1.5
    with pytest.raises(DataError, match=r"box .* leaves the picture"):
        loss(changed(boxes=boxes), Stream(0))
    boxes = good.cond["boxes"][..., [2, 1, 0, 3]]
    with pytest.raises(DataError, match="has no area: x1 < x2"):
        loss(changed(boxes=boxes), Stream(0))
    with pytest.raises(DataError, match=r"need boxes .* and masks"):
        loss(changed(masks=good.cond["masks"][..., :8]), Stream(0))
    with pytest.raises(DataError, match=r"kind 7 is out of range: there are 0 .. 1"):
        loss(changed(kinds=torch.full_like(good.cond["kinds"], 7)), Stream(0))
    with pytest.raises(DataError, match="conditions boxes, kinds, masks; these have none"):
        loss(Batch(good.x, {}), Stream(0))
    with pytest.raises(DataError, match=r"up to 3 things, more than proposals \(2\)"):
        objective(built(proposals=2))(good, Stream(0))


def test_bad_use() -> None:
    system, x = built(), torch.zeros(2, 1, 16, 16)
    with pytest.raises(DataError, match=r"image takes \(1, 16, 16\).* got \(2, 1, 8, 8\)"):
        system.find(x[..., :8, :8])
    with pytest.raises(UsageError, match="proposals must be at least 1"):
        system.find(x, proposals=0)
    with pytest.raises(UsageError, match="score and overlap lie in"):
        system.find(x, score=1.5)
    with pytest.raises(UsageError, match="unknown condition 'imag': did you mean 'image'"):
        system.sample(1, imag=x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proposals": 0}, "proposals must be at least 1"),
        ({"kinds": ()}, "kinds is empty"),
        ({"signal": 0.0}, "signal must be positive"),
        ({"size": 18}, "size a multiple of 4"),
        ({"flip": True}, "flip mirrors pictures and not their boxes"),
        ({"heads": 0}, "heads must be at least 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(**settings)
