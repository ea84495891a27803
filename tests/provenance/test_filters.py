"""Filters: thresholds and actions with a classifier of our own; the published one by how it is called."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import UsageError
from ornstein.provenance import Blocked, Classifier, Filter, OpenNSFW, choose_filter, filters, weights
from ornstein.recipes.samples import to_image
from provenance.pictures import photograph


class Brightness(Classifier):
    """The brighter, the worse."""

    name = "brightness"

    def score(self, image: Image.Image) -> float:
        return float(np.asarray(image.convert("L")).mean() / 255)


def test_what_is_below_the_threshold_leaves_as_it_is() -> None:
    image = Image.new("RGB", (8, 8), (127, 127, 127))
    out, verdict = Filter(Brightness(), 0.5)(image)
    assert out is image and verdict.action is None and verdict.score == pytest.approx(127 / 255)
    _, verdict = Filter(Brightness(), 127 / 255, "flag")(image)
    assert verdict.action == "flag"  # the threshold itself is over it


def test_a_score_that_is_no_number_does_not_pass() -> None:
    class Broken(Classifier):
        name = "broken"

        def score(self, image: Image.Image) -> float:
            return float("nan")

    with pytest.raises(Blocked):
        Filter(Broken())(Image.new("L", (8, 8)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_actions(mode: str) -> None:
    image = to_image(photograph(0, 64)).convert(mode)
    results = {a: Filter(Brightness(), 0.01, a)(image)[0] for a in ("blank", "blur", "flag")}
    assert results["flag"] is image
    for name in ("blank", "blur"):
        assert results[name].mode == mode and results[name].size == image.size
    assert np.asarray(results["blank"].convert("L")).std() == 0
    before, after = (np.asarray(i.convert("L"), dtype=float) for i in (image, results["blur"]))
    fine = [np.abs(np.diff(x, axis=1)).mean() for x in (before, after)]
    assert fine[1] < 0.2 * fine[0] and abs(before.mean() - after.mean()) < 10
    with pytest.raises(Blocked, match="the content filter brightness holds this picture back"):
        Filter(Brightness(), 0.01)(image)


def test_the_published_classifier_gets_what_it_was_trained_on() -> None:
    seen: list[np.ndarray] = []

    def network(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return np.array([[0.25, 0.75]], dtype=np.float32)

    red = Image.new("RGB", (300, 100), (255, 0, 0))
    assert OpenNSFW(network).score(red) == 0.75
    assert seen[0].shape == (1, 224, 224, 3) and seen[0].dtype == np.float32
    # blue, green, red, less their means; JPEG moves flat colours by little
    assert np.abs(seen[0].mean((0, 1, 2)) - np.array([-104, -117, 255 - 123])).max() < 3


def test_models_that_read_text_have_a_filter_unless_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_folder", lambda what: None)
    assert choose_filter("off", reads_text=True) is None
    assert choose_filter(None, reads_text=False) is None
    with pytest.raises(UsageError, match=r"served with a content filter, and the weights 'open-nsfw' are not .* 'off'"):
        choose_filter(None, reads_text=True)
    with pytest.raises(UsageError, match="the weights 'open-nsfw' are not on this machine"):
        choose_filter("open-nsfw", reads_text=False)
    monkeypatch.setitem(filters.CLASSIFIERS, "open-nsfw", Brightness)
    chosen = choose_filter(None, reads_text=True, threshold=0.3, action="blur")
    assert chosen is not None and (chosen.threshold, chosen.action) == (0.3, "blur")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choose_filter("nsfw", False), "unknown content filter 'nsfw': did you mean 'open-nsfw'"),
        (lambda: Filter(Brightness(), 0), "threshold of a filter lies in 0"),
        (lambda: Filter(Brightness(), 0.5, "hide"), "unknown action of a filter 'hide'"),
    ],
)
def test_wrong_settings(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
