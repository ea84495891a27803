"""Content filters: a classifier of pictures, a threshold, and what is done with a picture that reaches it."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np
from PIL import Image, ImageFilter

from ornstein.core.errors import OrnsteinError, UsageError, unknown
from ornstein.provenance import weights

Action = Literal["refuse", "blank", "blur", "flag"]
"""Give no picture; a grey one of the same size; one blurred beyond recognition; or the picture, with a note in its settings."""

OFF = "off"


class Blocked(OrnsteinError):
    """The filter holds a picture back."""


class Classifier(ABC):
    """How likely a picture is one that must not leave, from 0 to 1. Threads may call it at the same time."""

    name: str

    @abstractmethod
    def score(self, image: Image.Image) -> float:
        """Of one picture, in mode L, RGB or RGBA."""


@final
class OpenNSFW(Classifier):
    """Yahoo's Open NSFW: the probability that a photograph is pornographic. Mahadeokar & Pesavento 2016.

    It was trained on photographs of 224 x 224 pixels that had been JPEG files. Of drawings, of violence, of pictures of
    28 x 28 pixels it knows nothing; see docs/guide/provenance.md for what it says of harmless photographs.
    """

    name = "open-nsfw"
    _SIDE, _CROP = 256, 224
    _MEAN = np.array([104.0, 117.0, 123.0], dtype=np.float32)  # of blue, green, red in its training set

    def __init__(self, network: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        if network is None:
            session = weights.session(weights.files("open-nsfw")[0])
            network = lambda x: session.run(None, {"input_0": x})[0]  # noqa: E731
        self._network = network

    def score(self, image: Image.Image) -> float:
        """Scaled to 256 x 256, through JPEG as in training, and the middle of it: column 1 of two."""
        file = io.BytesIO()
        image.convert("RGB").resize((self._SIDE, self._SIDE), Image.Resampling.BILINEAR).save(file, "JPEG")
        edge = (self._SIDE - self._CROP) // 2
        with Image.open(file) as again:
            x = np.asarray(again, dtype=np.float32)[edge : edge + self._CROP, edge : edge + self._CROP, ::-1]
        return float(self._network((x - self._MEAN)[None])[0, 1])


CLASSIFIERS: dict[str, Callable[[], Classifier]] = {"open-nsfw": OpenNSFW}
"""Classifiers by name. Another one is a class and a row here, or is given to :class:`Filter` from Python."""


@final
@dataclass(frozen=True)
class Verdict:
    """What a filter says of one picture: the score, whether it reached the threshold, and what was done."""

    classifier: str
    score: float
    threshold: float
    action: Action | None
    """None: nothing, because the score is below the threshold"""


@final
class Filter:
    """``threshold``: scores from there on lead to ``action``."""

    def __init__(self, classifier: Classifier, threshold: float = 0.8, action: Action = "refuse") -> None:
        if not 0 < threshold <= 1:
            raise UsageError(f"the threshold of a filter lies in 0 .. 1 (above 0), got {threshold}")
        if action not in get_args(Action):
            raise unknown("action of a filter", action, get_args(Action))
        self.classifier, self.threshold, self.action = classifier, threshold, action

    def __call__(self, image: Image.Image) -> tuple[Image.Image, Verdict]:
        """The picture that may leave, and why.

        Raises:
            Blocked: the action is "refuse".
        """
        score = self.classifier.score(image)
        if not score < self.threshold:  # NaN is not below it
            verdict = Verdict(self.classifier.name, score, self.threshold, self.action)
            return self._act(image, verdict), verdict
        return image, Verdict(self.classifier.name, score, self.threshold, None)

    def _act(self, image: Image.Image, verdict: Verdict) -> Image.Image:
        if self.action == "refuse":
            raise Blocked(
                f"the content filter {verdict.classifier} holds this picture back: {verdict.score:.2f}, and it lets pass "
                f"what is below {verdict.threshold:g}. Try another seed or another prompt"
            )
        if self.action == "blank":
            return Image.new(image.mode, image.size, "grey")
        if self.action == "blur":
            opaque = image.convert("L" if image.mode in ("L", "LA") else "RGB")
            small = opaque.resize((4, 4), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)
            return small.filter(ImageFilter.GaussianBlur(max(image.size) / 16)).convert(image.mode)
        return image


def choose_filter(
    setting: str | None, reads_text: bool, threshold: float = 0.8, action: Action = "refuse"
) -> Filter | None:
    """The filter of a served model.

    ``setting``: a row of :data:`CLASSIFIERS`, "off", or None for the default: "open-nsfw" for models that are told in words what
    to make, none for others, which make what they were trained on.

    Raises:
        UsageError: an unknown name; or the default is wanted and its weights are not here: what to do is said, and that
            "off" must be said.
    """
    if setting == OFF or (setting is None and not reads_text):
        return None
    name = setting or OpenNSFW.name
    if name not in CLASSIFIERS:
        raise unknown("content filter", name, (*CLASSIFIERS, OFF))
    try:
        return Filter(CLASSIFIERS[name](), threshold, action)
    except UsageError as e:
        if setting is None:
            raise UsageError(
                f"a model that reads text is served with a content filter, and {e}. To serve it without one, switch the filter "
                f"'{OFF}'"
            ) from e
        raise
