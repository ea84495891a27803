"""The metrics of audio by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.clips import Clip, Clips, require_one_rate
from ornstein.evaluation.audio.edit_distance import character_errors, word_errors
from ornstein.evaluation.audio.features import AudioExtractor, LogMelStatistics
from ornstein.evaluation.audio.log_spectral import log_spectral_distance
from ornstein.evaluation.audio.mcd import mel_cepstral_distortion, mel_cepstrum
from ornstein.evaluation.audio.pitch import f0, pitch_error
from ornstein.evaluation.audio.settings import AudioSettings
from ornstein.evaluation.feature_sets import frechet_of
from ornstein.evaluation.modality import Given, Measure, Modality, Need, table_of

Recogniser = Callable[[Clip], str]
"""A clip -> what is said in it."""


def _each(x: Given[Clips], name: str, of: Callable[[Clip, Clip], list[float]]) -> Tensor:
    """Numbers of each pair, ``[N, V]``; a warning where a clip is silent."""
    silent = sum(a.silent or b.silent for a, b in zip(x.every_sample.clips, x.reference.clips, strict=False))
    if silent and x.index is None:
        x.warn(
            f"{name}: {silent} pairs hold a silent clip, whose spectrum is taken as -100 dB and whose pitch as unvoiced"
        )
    return x.pair_column(name, lambda a, b: _rows(a, b, of))


def _rows(a: Clips, b: Clips, of: Callable[[Clip, Clip], list[float]]) -> Tensor:
    return torch.tensor([of(p, q) for p, q in zip(a.clips, b.clips, strict=True)], dtype=torch.float64)


def _mcd(x: Given[Clips], align: bool) -> dict[str, float]:
    s: AudioSettings = x.settings

    def of(a: Clip, b: Clip) -> list[float]:
        p, q = (mel_cepstrum(clip, s.window, s.hop, s.bands, s.coefficients) for clip in (a, b))
        return [mel_cepstral_distortion(p, q, align)]

    name = "mcd_dtw" if align else "mcd"
    return {name: float(_each(x, name, of).mean())}


def _lsd(x: Given[Clips]) -> dict[str, float]:
    s: AudioSettings = x.settings
    found = _each(x, "lsd", lambda a, b: [log_spectral_distance(a.wave, b.wave, s.window, s.hop)])
    return {"lsd": float(found.mean())}


def _pitch(x: Given[Clips]) -> dict[str, float]:
    s: AudioSettings = x.settings

    def of(a: Clip, b: Clip) -> list[float]:
        found = pitch_error(*(f0(clip.wave, clip.rate, s.lowest, s.highest, s.hop) for clip in (a, b)))
        return [found.cents, found.gross, found.voicing]

    found = _each(x, "f0", of)
    # A half without a voiced pair has no pitch error either; its spread is then unknown, and no reason to stop.
    if x.index is None and bool(found[:, 1].isnan().all()):
        raise DataError(
            "f0: no frame has a pitch in both clips of any pair; the clips are silent, noise, or out of range"
        )
    cents, gross, voicing = found.nanmean(0).tolist()
    return {"f0_cents": cents, "f0_gross": gross, "f0_voicing": voicing}


def frechet_audio(extractor: AudioExtractor | None = None) -> Measure[Clips]:
    """The Frechet distance in the features of an extractor, which the record names; by default log-mel statistics."""
    extract = extractor or LogMelStatistics()
    return frechet_of(
        "audio_fd",
        "Frechet distance of features of clips; log-mel statistics unless an extractor is given, and then no FAD of VGGish",
        extract,
        lambda clips: clips.clips,
    )


def _missing(clip: Clip) -> str:
    raise DataError(
        "wer and cer need a recogniser: measure(..., metrics=[error_rates(recogniser)]), or on the command line "
        "--plug-in package.module:function"
    )


def error_rates(recogniser: Recogniser = _missing) -> Measure[Clips]:
    """Word and character error rates of what a recogniser hears, against the text that a clip, or its pair, brings."""
    name = getattr(recogniser, "name", getattr(recogniser, "__name__", type(recogniser).__name__))

    def count(clips: Clips, wanted: list[str]) -> Tensor:
        rows = []
        for clip, text in zip(clips.clips, wanted, strict=True):
            heard = recogniser(clip)
            rows.append([*word_errors(text, heard), *character_errors(text, heard)])
        return torch.tensor(rows, dtype=torch.float64)

    def compute(x: Given[Clips]) -> dict[str, float]:
        every = x.every_sample
        wanted = [clip.text for clip in every.clips]
        if not all(wanted) and x.every_reference is not None and len(x.every_reference) == len(every):
            wanted = [a or b.text for a, b in zip(wanted, x.every_reference.clips, strict=True)]
        if not all(wanted):
            raise DataError(
                f"wer: clip {wanted.index('')} brings no text of what is said; put it into NAME.txt beside NAME.wav"
            )
        n = x.column("errors", lambda clips: count(clips, wanted)).sum(0)
        return {"wer": float(n[0] / n[1]), "cer": float(n[2] / n[3])}

    about = "word and character error rates of what a recogniser hears: lower case, without punctuation"
    return Measure(
        "wer", about, {"wer": "lower", "cer": "lower"}, compute, frozenset(), protocol={"recogniser": str(name)}
    )


_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})
_SPECTRUM = ("window", "hop")
_CEPSTRUM = (*_SPECTRUM, "bands", "coefficients")

AUDIO: Modality[Clips] = Modality(
    "audio",
    "clips of sound",
    Clips,
    table_of(
        (
            Measure("mcd", "mel-cepstral distortion to the paired clip, dB, frame by frame", {"mcd": "lower"},
                    lambda x: _mcd(x, False), _PAIRS, _CEPSTRUM),
            Measure("mcd_dtw", "the same along the path of dynamic time warping", {"mcd_dtw": "lower"},
                    lambda x: _mcd(x, True), _PAIRS, _CEPSTRUM),
            Measure("lsd", "log-spectral distance to the paired clip, dB", {"lsd": "lower"}, _lsd, _PAIRS, _SPECTRUM),
            Measure("f0", "pitch against the paired clip: error in cents, share grossly wrong, share voiced in one only",
                    {"f0_cents": "lower", "f0_gross": "lower", "f0_voicing": "lower"}, _pitch, _PAIRS,
                    ("hop", "lowest", "highest")),
            frechet_audio(),
            error_rates(),
        )
    ),
    ("audio_fd",),
    AudioSettings,
    require_one_rate,
)  # fmt: skip
