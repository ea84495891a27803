"""Clips out of WAV and NPZ files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ornstein.core.errors import DataError
from ornstein.evaluation.audio.clips import Clip, Clips
from ornstein.evaluation.reading import arrays_of, files_of

SUFFIXES = (".wav",)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path: Path) -> Clip:
    """A RIFF WAVE file of integers (8, 16, 24, 32 bits) or floats (32, 64); channels are averaged. Text: NAME.txt beside it.

    Raises:
        DataError: no such file, torn, or of another coding.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror}") from e
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise DataError(f"{path} is no WAV file (RIFF WAVE)")
    place, form, body = 12, None, None
    while place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        chunk = data[place + 8 : place + 8 + size]
        if name == b"fmt " and len(chunk) >= 16:
            form = struct.unpack_from("<HHIIHH", chunk)
            if form[0] == _EXTENSIBLE and len(chunk) >= 26:
                form = (struct.unpack_from("<H", chunk, 24)[0], *form[1:])
        elif name == b"data":
            body = chunk
        place += 8 + size + size % 2
    if form is None or body is None:
        raise DataError(f"{path} is torn: it has no {'format' if form is None else 'samples'}")
    code, channels, rate, _, _, bits = form
    wave = _decode(body, code, bits, path)
    if channels < 1 or len(wave) < channels:
        raise DataError(f"{path} holds no sound")
    wave = wave[: len(wave) // channels * channels].reshape(-1, channels).mean(1)
    beside = path.with_suffix(".txt")
    return Clip(wave, rate, beside.read_text(encoding="utf-8").strip() if beside.is_file() else "")


def _decode(body: bytes, code: int, bits: int, path: Path) -> np.ndarray:
    """To float64 in [-1, 1]."""
    if (code, bits) == (_PCM, 24):
        raw = np.frombuffer(body[: len(body) // 3 * 3], np.uint8).reshape(-1, 3)
        wide = np.zeros((len(raw), 4), np.uint8)
        wide[:, 1:] = raw
        return wide.view("<i4")[:, 0] / 2.0**31
    kinds = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}
    if (code, bits) not in kinds:
        raise DataError(f"{path}: coding {code} with {bits} bits is not read; write PCM or float WAV")
    dtype = np.dtype(kinds[code, bits])
    x = np.frombuffer(body[: len(body) // dtype.itemsize * dtype.itemsize], dtype).astype(np.float64)
    return (x - 128) / 128 if bits == 8 else x if code == _FLOAT else x / 2.0 ** (bits - 1)


def read_clips(path: Path) -> Clips:
    """A WAV file, a folder of them (by name), or an NPZ with ``audio [N, T]``, ``rate``, and if any ``length``, ``texts``."""
    if path.suffix == ".npz":
        found = arrays_of(path, ("audio", "x"))
        x = found.main.astype(np.float64)
        x = x[:, 0] if x.ndim == 3 and x.shape[1] == 1 else x
        if x.ndim != 2:
            raise DataError(f"{path}: audio must be [N, T], got shape {x.shape}")
        if "rate" not in found.others:
            raise DataError(f"{path} does not say its sampling rate; store it as 'rate'")
        lengths = found.per_item("length", len(x), np.full(len(x), x.shape[1]))
        texts = found.per_item("texts", len(x), np.full(len(x), ""))
        rate = int(found.others["rate"])
        return Clips([Clip(w[: int(n)], rate, str(t)) for w, n, t in zip(x, lengths, texts, strict=True)])
    return Clips([read_wav(file) for file in files_of(path, SUFFIXES, "clip")])
