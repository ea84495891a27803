"""Metrics of sound: closed forms, bad input, files."""

from __future__ import annotations

import itertools
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation import measure
from ornstein.evaluation.audio import (
    AudioSettings,
    Clip,
    Clips,
    character_errors,
    edit_distance,
    error_rates,
    f0,
    frechet_audio,
    log_spectral_distance,
    mel_cepstral_distortion,
    mel_cepstrum,
    pitch_error,
    read_clips,
    warp,
    word_errors,
)
from ornstein.evaluation.audio.mcd import DB

RATE = 16000


def noise(seed: int, seconds: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(RATE * seconds))


def tone(hz: float, seconds: float = 0.5, rate: int = RATE, harmonics: int = 5) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    return sum(np.sin(2 * np.pi * hz * h * t + h) / h for h in range(1, harmonics + 1)) / 4


def clips(*waves: np.ndarray, texts: tuple[str, ...] = ()) -> Clips:
    return Clips([Clip(w, RATE, *texts[i : i + 1]) for i, w in enumerate(waves)])


def test_distortion_of_a_scaled_cepstrum() -> None:
    c = np.random.default_rng(0).normal(size=(30, 24))
    wanted = 0.5 * DB * np.linalg.norm(c, axis=1).mean()
    assert mel_cepstral_distortion(c, 1.5 * c) == pytest.approx(wanted, rel=1e-12)
    one = np.zeros((1, 24))
    one[0, 3] = 1
    assert mel_cepstral_distortion(one, 0 * one) == pytest.approx(10 / np.log(10) * np.sqrt(2))  # 6.14 dB


def test_distortion_is_the_distance_of_the_log_bands() -> None:
    """All coefficients of K bands: by Parseval half the root mean square of the bands' difference in dB, its mean removed."""
    a, b = (mel_cepstrum(Clip(noise(i), RATE), 512, 128, 20, 19) for i in (1, 2))
    from ornstein.evaluation.audio.spectrum import log_mel

    p, q = (10 / np.log(10) * log_mel(noise(i), RATE, 512, 128, 20) for i in (1, 2))
    difference = (p - q) - (p - q).mean(1, keepdims=True)
    wanted = np.sqrt(np.square(difference).mean(1)).mean() / 2
    assert mel_cepstral_distortion(a, b) == pytest.approx(wanted, rel=1e-10)


def test_a_gain_changes_no_cepstrum_and_shifts_the_spectrum() -> None:
    a = 1000 * noise(0)  # so loud that no bin is near the floor
    both = (mel_cepstrum(Clip(x, RATE), 1024, 256, 80) for x in (a, a / 4))
    assert mel_cepstral_distortion(*both) < 1e-9
    assert log_spectral_distance(a, a / 4, 1024, 256) == pytest.approx(20 * np.log10(4), rel=1e-9)


def test_warping_finds_the_cheapest_path() -> None:
    def cheapest(cost: np.ndarray, i: int, j: int) -> float:
        if i == j == 0:
            return float(cost[0, 0])
        before = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        return float(cost[i, j]) + min(cheapest(cost, *p) for p in before if min(p) >= 0)

    for seed, (n, m) in enumerate(itertools.product((1, 3, 6), (1, 4, 5))):
        cost = np.random.default_rng(seed).random((n, m))
        i, j = warp(cost)
        assert cost[i, j].sum() == pytest.approx(cheapest(cost, n - 1, m - 1), rel=1e-12)
        steps = set(zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True))
        assert (i[0], j[0], i[-1], j[-1]) == (0, 0, n - 1, m - 1) and steps <= {(1, 1), (1, 0), (0, 1)}


def test_warping_forgives_a_pause() -> None:
    c = np.random.default_rng(0).normal(size=(20, 5))
    slow = np.repeat(c, 2, axis=0)
    assert mel_cepstral_distortion(c, slow, align=True) < 1e-6
    with pytest.raises(DataError, match="20 and 40 frames"):
        mel_cepstral_distortion(c, slow)
    with pytest.raises(DataError, match="5 and 4 coefficients"):
        mel_cepstral_distortion(c, c[:, :4])


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("hz", [82.4, 110.0, 220.5, 440.0])
def test_pitch_of_tones(hz: float, rate: int) -> None:
    found = f0(tone(hz, rate=rate, harmonics=3), rate, 60, 500, 256)
    assert np.isfinite(found).all() and np.abs(found / hz - 1).max() < 2e-3
    assert np.isfinite(f0(tone(hz, rate=rate, harmonics=1), rate, 60, 500, 256)).all()  # a pure sine


def test_noise_and_silence_have_no_pitch() -> None:
    assert np.isnan(f0(noise(0), RATE, 60, 500, 256)).mean() > 0.95
    assert np.isnan(f0(np.full(8000, 0.3), RATE, 60, 500, 256)).all()
    with pytest.raises(DataError, match="sought between 0 and 2000 Hz"):
        f0(noise(0), 8000, 60, 3000, 256)


def test_pitch_errors_by_hand() -> None:
    nan = np.nan
    found = pitch_error(np.array([200.0, 300, nan, 100, nan]), np.array([100.0, 300 * 2 ** (1 / 12), 100, nan, nan]))
    assert found.gross == 0.5 and found.cents == pytest.approx(100) and found.voicing == pytest.approx(0.4)


def test_a_semitone_is_a_hundred_cents() -> None:
    a, b = clips(tone(220)), clips(tone(220 * 2 ** (1 / 12)))
    values = measure(a, b, metrics=["f0"]).values
    assert values["f0_cents"] == pytest.approx(100, abs=1) and values["f0_gross"] == values["f0_voicing"] == 0


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ("", "", 0),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("ab", "ba", 2),
        ("abcabc", "bcab", 2),
    ],
)
def test_edit_distance_by_hand(a: str, b: str, wanted: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == wanted


def test_error_rates_by_hand() -> None:
    assert word_errors("The cat, sat!", "the cat sat down") == (1, 3)
    assert character_errors("don't go", "dont go") == (1, 8)
    with pytest.raises(DataError, match="has no words"):
        word_errors("...", "hello")
    heard = {0.0: "one two three", 1.0: "four"}

    def deaf(clip: Clip) -> str:
        return heard[float(clip.wave[0])]

    x = Clips([Clip(np.full(4000, float(i)), RATE, text) for i, text in enumerate(("one two", "for"))])
    found = measure(x, metrics=[error_rates(deaf)])
    assert (
        found.values == {"wer": 2 / 3, "cer": (6 + 1) / (7 + 3)} and found.protocol["settings"]["recogniser"] == "deaf"
    )
    with pytest.raises(DataError, match="need a recogniser"):
        measure(x, metrics=["wer"])
    with pytest.raises(DataError, match="clip 1 brings no text"):
        measure(Clips([x.clips[0], Clip(np.zeros(4000), RATE)]), metrics=[error_rates(deaf)])
    # the pair's text is taken where a clip has none of its own
    bare = Clips([Clip(c.wave, RATE) for c in x.clips])
    assert measure(bare, x, metrics=[error_rates(deaf)]).values == found.values


def test_frechet_distance_of_a_shift() -> None:
    """Two clips scaled alike: every log-mel mean moves by ln g^2, no deviation does."""
    mine, theirs = clips(*(noise(i) for i in range(60))), clips(*(noise(i) / 2 for i in range(60)))
    found = measure(mine, theirs, metrics=["audio_fd"])
    assert found.values["audio_fd"] == pytest.approx(20 * np.log(4) ** 2, rel=1e-6)
    assert found.errors["audio_fd"] > 0 and "log-mel statistics" in found.protocol["settings"]["extractor"]
    assert measure(mine, mine, metrics=["audio_fd"]).values["audio_fd"] == pytest.approx(0, abs=1e-6)


def test_a_plugged_in_extractor_is_named() -> None:
    def loudness(clip: Clip) -> Tensor:
        """Several rows a clip, as networks with windows of a second give."""
        return torch.from_numpy(np.abs(clip.wave[:8000].reshape(4, 1, 2000)).mean(2))

    mine, theirs = clips(*(noise(i) for i in range(9))), clips(*(noise(50 + i) for i in range(9)))
    found = measure(mine, theirs, metrics=[frechet_audio(loudness)])
    assert found.protocol["settings"]["extractor"] == "loudness" and found.values["audio_fd"] < 1e-4

    def broken(clip: Clip) -> Tensor:
        return torch.full((1, 2), torch.nan)

    with pytest.raises(DataError, match="sample 0: the features hold NaN"):
        measure(mine, theirs, metrics=[frechet_audio(broken)])
    with pytest.raises(DataError, match="audio_fd of 2 samples in 40 feature dimensions"):
        measure(clips(noise(0), noise(1)), theirs, metrics=["audio_fd"])


def test_bad_clips_are_refused() -> None:
    good = Clip(noise(0), RATE)
    bad = noise(0)
    bad[7] = np.nan
    for items, words in (
        ([], "no clip"),
        ([good, Clip(bad, RATE)], "clip 1 holds NaN"),
        ([good, Clip(noise(0), 8000)], r"several sampling rates \(8000, 16000 Hz\)"),
        ([Clip(np.zeros(3), RATE)], "clip 0 lasts 0 ms"),
        ([Clip(np.zeros((2, 4000)), RATE)], "one channel"),
        ([Clip(noise(0), 0)], "rate of 0 Hz"),
    ):
        with pytest.raises(DataError, match=words):
            Clips(items)
    with pytest.raises(DataError, match="16000 Hz and the reference 8000 Hz"):
        measure(Clips([good]), Clips([Clip(noise(0), 8000)]), metrics=["lsd"])
    with pytest.raises(DataError, match="there are 1 and 2"):
        measure(Clips([good]), clips(noise(0), noise(1)), metrics=["mcd"])


def test_silence_is_measured_against_a_floor_and_said() -> None:
    silent, loud = clips(np.zeros(8000), noise(1)), clips(noise(0), noise(1))
    found = measure(silent, loud, metrics=["mcd", "lsd"])
    assert np.isfinite([*found.values.values()]).all() and any(
        "1 pairs hold a silent clip" in w for w in found.warnings
    )
    assert measure(silent, silent, metrics=["lsd"]).values["lsd"] == 0
    with pytest.raises(DataError, match="no frame has a pitch"):
        measure(silent, silent, metrics=["f0"])


def write(path: Path, x: np.ndarray, rate: int = RATE, width: int = 2, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            data = np.round(x * 128 + 128).astype("u1").tobytes()
        else:
            whole = np.round(x * 2 ** (8 * width - 1)).astype("<i4")
            data = whole.view("u1").reshape(-1, 4)[:, :width].tobytes()
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integer_wav(width: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(-100, 100, 2000) / 128
    (clip,) = read_clips(write(tmp_path / "a.wav", x, width=width)).clips
    np.testing.assert_array_equal(clip.wave, x)
    assert clip.rate == RATE


@pytest.mark.parametrize("extensible", [False, True])
def test_float_wav_of_two_channels(extensible: bool, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2000, 2)).astype("<f4")
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else 3, 2, 8000, 64000, 8, 32)
    form += struct.pack("<HHIH14s", 22, 32, 3, 3, b"") if extensible else b""
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", x.nbytes) + x.tobytes()
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks)
    (clip,) = read_clips(tmp_path / "a.wav").clips
    np.testing.assert_allclose(clip.wave, x.astype(float).mean(1), rtol=1e-12)


def test_folders_and_arrays(tmp_path: Path) -> None:
    write(tmp_path / "b.wav", noise(1))
    write(tmp_path / "a.wav", noise(0))
    (tmp_path / "a.txt").write_text("Hello.\n")
    found = read_clips(tmp_path)
    assert [c.text for c in found.clips] == ["Hello.", ""]
    np.testing.assert_allclose(found.clips[0].wave, noise(0), atol=2**-15)
    np.savez(tmp_path / "c.npz", audio=np.stack([noise(0), noise(1)]), rate=RATE, length=[8000, 4000])
    stored = read_clips(tmp_path / "c.npz")
    assert [len(c.wave) for c in stored.clips] == [8000, 4000] and stored.rate == RATE


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "torn.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "bare.npz", audio=np.zeros((1, 4000)))
    np.savez(tmp_path / "short.npz", audio=np.zeros((2, 4000)), rate=RATE, texts=["a"])
    (tmp_path / "torn.npz").write_bytes(b"PK\3\4")
    for name, words in (
        ("text.wav", "no WAV file"),
        ("torn.wav", "is torn"),
        ("empty", "holds no clip"),
        ("absent.wav", "there is no"),
        ("bare.npz", "does not say its sampling rate"),
        ("short.npz", "'texts' has 1 entries for 2 items"),
        ("torn.npz", "cannot read"),
    ):
        with pytest.raises(DataError, match=words):
            read_clips(tmp_path / name)


def test_settings_are_in_the_protocol() -> None:
    found = measure(clips(noise(0)), clips(noise(1)), metrics=["lsd"], settings=AudioSettings(window=512, hop=128))
    assert found.protocol["settings"] == {"window": 512, "hop": 128} and found.protocol["rate"] == RATE
