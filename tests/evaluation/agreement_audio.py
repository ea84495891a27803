"""Our metrics of sound beside SciPy's, transformers' and jiwer's."""

from __future__ import annotations

import jiwer
import numpy as np
from scipy.fft import dct
from scipy.signal import get_window, periodogram
from transformers.audio_utils import mel_filter_bank

from evaluation.trusted import Numbers, Row
from ornstein.evaluation.audio import Clip, character_errors, log_spectral_distance, mel_cepstrum, word_errors
from ornstein.evaluation.audio.spectrum import log_mel, mel_bands, power

RATE, WINDOW, HOP, BANDS = 16000, 512, 160, 40


def waves() -> tuple[np.ndarray, np.ndarray]:
    """Two noisy chirps."""
    rng, t = np.random.default_rng(0), np.arange(8000) / RATE
    a, b = (np.sin(2 * np.pi * (f + 900 * t) * t) + 0.2 * rng.normal(size=len(t)) for f in (150, 170))
    return a, b


def spectra(wave: np.ndarray) -> np.ndarray:
    """SciPy's power spectra of all whole windows, ``[F, bins]``."""
    hann = get_window("hann", WINDOW)
    starts = range(0, len(wave) - WINDOW + 1, HOP)
    rows = [periodogram(wave[s : s + WINDOW], window=hann, detrend=False, scaling="spectrum")[1] for s in starts]
    found = np.stack(rows)
    found[:, 1:-1] /= 2  # one-sided: the power of both signs of a frequency
    return found


def of_spectrum() -> tuple[Numbers, Numbers]:
    a, _ = waves()
    return power(a, WINDOW, HOP).ravel().tolist(), spectra(a).ravel().tolist()


def of_bands() -> tuple[Numbers, Numbers]:
    theirs = mel_filter_bank(WINDOW // 2 + 1, BANDS, 0, RATE / 2, RATE, norm=None, mel_scale="htk")
    inside = theirs > 1e-9
    assert (mel_bands(RATE, WINDOW, BANDS)[~inside] < 1e-9).all()
    return mel_bands(RATE, WINDOW, BANDS)[inside].tolist(), theirs[inside].tolist()


def of_cepstrum() -> tuple[Numbers, Numbers]:
    a, _ = waves()
    theirs = dct(log_mel(a, RATE, WINDOW, HOP, BANDS) / 2, type=2, axis=1)[:, 1:14] / (2 * BANDS)
    return mel_cepstrum(Clip(a, RATE), WINDOW, HOP, BANDS, 13).ravel().tolist(), theirs.ravel().tolist()


def of_log_spectral_distance() -> tuple[Numbers, Numbers]:
    a, b = waves()
    p, q = (10 * np.log10(spectra(x)) for x in (a, b))
    return [log_spectral_distance(a, b, WINDOW, HOP)], [np.sqrt(((p - q) ** 2).mean(1)).mean()]


TEXTS = (
    ("the quick brown fox jumps over the lazy dog", "the quick brown fox jumped over lazy dogs"),
    ("press one for sales or two for support", "press one for sale two for the support"),
    ("goodbye", "good bye"),
    ("please hold while I try that extension", "police hold while i try that extension now"),
)


def of_error_rates() -> tuple[Numbers, Numbers]:
    references, heard = ([text.lower() for text in side] for side in zip(*TEXTS, strict=True))
    pairs = list(zip(references, heard, strict=True))
    words = np.array([word_errors(r, h) for r, h in pairs]).sum(0)
    letters = np.array([character_errors(r, h) for r, h in pairs]).sum(0)
    return [words[0] / words[1], letters[0] / letters[1]], [jiwer.wer(references, heard), jiwer.cer(references, heard)]


ROWS = (
    Row("power spectrum", "SciPy `periodogram`", of_spectrum),
    Row("mel bands", "transformers `mel_filter_bank`", of_bands),
    Row("mel cepstrum", "SciPy `dct`", of_cepstrum),
    Row("log-spectral distance", "SciPy `periodogram`", of_log_spectral_distance),
    Row("word and character error rate", "jiwer `wer`, `cer`", of_error_rates),
)
