r"""An own invisible mark: keyed spread spectrum in the frequencies of a repeated tile, with an error-correcting code.

A tile of 64 x 64 pixels is the real part of a sum of waves with 4.5 to 14 periods across it, all of equal strength, whose
phases the key decides:

    tile(x) = Re sum_k c_k e^{2 pi i <k, x> / 64},    |c_k| = 1.

A third of the waves is always the same and is what the detector looks for; each of the others carries two bits of the coded
payload as one of four phases. The tile is repeated over the picture and added to its luminance, stronger where the picture is
busy, because noise hides there:

    y' = y + a(y) tile,    a = clip(A (1 + deviation of y nearby / 8), at most 3 A).

The detector takes away what is smooth, divides by how busy each place is, and adds all tiles up. Cutting the picture shifts the
sum in a circle, which one cross-correlation by FFT finds for every shift at once; scaling is searched for. Cox et al. 1997
(spread spectrum); Kutter 1998 (repetition against geometric changes).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.provenance import coding
from ornstein.provenance.mark import PUBLIC_KEY, Detection, Mark, check, luminance

TILE = 64
_LOWEST, _HIGHEST = 4.5, 14.0  # periods across a tile: 14 to 4.6 pixels, which JPEG at quality 75 mostly keeps
_SYNC = 3  # one wave in so many is for finding the mark
_FINE = 4  # shifts are found to a quarter of a pixel
_READ = 2048  # side of the part of a very large picture that is read
_SEARCHED = 512  # side of the middle part in which scales are searched for first
_READABLE = 2.0  # a payload is tried from this score on; its checksum agrees by chance once in 65,536
_FAMILIES = 4  # as it is or scaled, aligned or cut

SCALES = (0.5, 2.0)
"""How far a picture may have been scaled."""


@final
@dataclass(frozen=True)
class _Waves:
    """Which waves a key uses. ``ky, kx`` ``[K]``: of the finding ones, then of those that carry; ``phase`` in turns."""

    ky: Tensor
    kx: Tensor
    phase: Tensor
    finding: int
    place: Tensor
    """``[2 (K - finding)]``: which coded bit each real and imaginary part carries."""


def _waves(key: str) -> _Waves:
    ks = [
        (ky, kx)
        for ky in range(-TILE // 2 + 1, TILE // 2)
        for kx in range(TILE // 2)
        if (kx > 0 or ky > 0) and _LOWEST <= math.hypot(ky, kx) <= _HIGHEST
    ]
    # Bytes of a hash, not a library's generator: a mark must be readable with any version of any library.
    count = len(ks)
    stream = np.frombuffer(hashlib.shake_256(key.encode()).digest(8 * count), dtype=">u4")
    order = torch.from_numpy(np.argsort(stream[:count], kind="stable"))
    phase = torch.from_numpy(stream[count:].astype(np.float64) / 2**32)
    k = torch.tensor(ks)[order]
    finding = count // _SYNC
    place = torch.arange(2 * (count - finding)) % coding.CODED_BITS
    return _Waves(k[:, 0], k[:, 1], phase, finding, place)


@final
@dataclass(frozen=True)
class _Place:
    """A scale to look at, one of ``tried``."""

    scale: float
    tried: int = 1


@final
class SpreadMark(Mark):
    """The mark of this module.

    ``strength`` A: amplitude in grey levels where the picture is smooth; by default 1, and up to 1.5 in pictures of less than 256
    pixels, which have less room. ``threshold``: -log10 of the chance of a false alarm.
    """

    name = "spread"
    smallest = 128

    def __init__(self, key: str = PUBLIC_KEY, strength: float | None = None, threshold: float = 6.0):
        if not key:
            raise UsageError("the key of a mark is empty; give any text, or leave it out for the public key")
        if strength is not None and not strength > 0:
            raise UsageError(f"the strength of a mark is in grey levels, above 0; got {strength}")
        self.strength, self.threshold = strength, threshold
        self._waves = _waves(key)

    def tile(self, payload: int) -> Tensor:
        """``[64, 64]`` float32 of mean 0 and variance 1."""
        w = self._waves
        bits = torch.from_numpy(coding.encode(payload))[w.place]
        c = torch.polar(torch.ones_like(w.phase), 2 * math.pi * w.phase)
        c[w.finding :] *= torch.complex(bits[0::2], bits[1::2]) / math.sqrt(2)
        spectrum = torch.zeros(TILE, TILE, dtype=c.dtype)
        spectrum[w.ky % TILE, w.kx % TILE] = c
        x = torch.fft.ifft2(spectrum).real.float()
        return x / x.std(correction=0)

    def embed(self, x: Tensor, payload: int = 0) -> Tensor:
        height, width = x.shape[1:]
        y = luminance(x)
        busy = _blur((y - _blur(y, 2)).square(), 3).clamp(min=0).sqrt()
        strength = self.strength or min(max(256 / min(height, width), 1.0), 1.5)
        amplitude = (strength * (1 + busy / 8)).clamp(max=3 * strength)
        tiles = self.tile(payload).repeat(-(-height // TILE), -(-width // TILE))[:height, :width]
        colours = x[:3].float() + amplitude * tiles
        return torch.cat([colours.round().clamp(0, 255).to(torch.uint8), x[3:]])

    def detect(self, x: Tensor) -> Detection:
        """Whether a picture carries this key's waves at any shift and at any scale within :data:`SCALES`.

        ``score`` is -log10 of how likely an unmarked picture has waves for finding that stand out as much as these, counting
        everywhere they were looked for. Found: the score reaches ``threshold``, or it reaches 2 and the payload there agrees
        with its checksum.
        """
        check(x)
        r = _whitened(
            luminance(x[:, :_READ, :_READ])
        )  # the corner is kept: where nothing was cut off, tiles begin there
        found = self._best([_Place(1.0)], r)
        if not self._sure(found):
            others = self._best(self._scales(r), r)
            found = others if self._sure(others) or others[0] > found[0] else found
        score, payload = found
        return Detection(self.name, self._sure(found), score, self.threshold, payload)

    def _sure(self, found: tuple[float, int | None]) -> bool:
        return found[1] is not None or found[0] >= self.threshold

    def _best(self, scales: list[_Place], r: Tensor) -> tuple[float, int | None]:
        """Score and payload of the likeliest place: where nothing was cut off, or wherever the waves stand out most."""
        aligned, anywhere = -math.inf, -math.inf
        at = [scales[0]] * 2
        for place in scales:
            z = self._correlate(_folded(r, place.scale), 1)
            if float(z[0, 0]) > aligned:
                aligned, at[0] = float(z[0, 0]), place
            if float(z.max()) > anywhere:
                anywhere, at[1] = float(z.max()), place
        best: tuple[float, int | None] = (0.0, None)
        for place, shifts in zip(at, (1, TILE**2), strict=True):
            folded = _folded(r, place.scale)
            z = self._correlate(folded, _FINE)
            i = 0 if shifts == 1 else int(z.argmax())
            side = TILE * _FINE
            score = _surprise(float(z.flatten()[i]), _FAMILIES * place.tried * shifts)
            payload = self._read(folded, i // side / _FINE, i % side / _FINE) if score >= _READABLE else None
            if payload is not None or (best[1] is None and score > best[0]):
                best = (score, payload)
        return best

    def _scales(self, r: Tensor) -> list[_Place]:
        """Scales to try: all, on the middle of a large picture, then those about the best of them on the whole."""
        height, width = (min(n, _SEARCHED) for n in r.shape)
        step = 2.0 / max(height, width)  # half of it shifts the borders by half a pixel
        count = math.ceil(math.log(SCALES[1] / SCALES[0]) / step)
        scales = [SCALES[0] * (SCALES[1] / SCALES[0]) ** (i / count) for i in range(count + 1)]
        if max(r.shape) > _SEARCHED:
            top, left = (r.shape[0] - height) // 2, (r.shape[1] - width) // 2
            part = r[top : top + height, left : left + width]
            best = max(scales, key=lambda s: float(self._correlate(_folded(part, s), 1).max()))
            scales = [best * (1 + step * i / 6) for i in range(-6, 7)]
        return [_Place(s, count) for s in scales]

    def _read(self, folded: Tensor, dy: float, dx: float) -> int | None:
        """The payload, if the tile was shifted by that much."""
        w = self._waves
        ky, kx, phase = w.ky[w.finding :], w.kx[w.finding :], w.phase[w.finding :]
        turn = torch.polar(torch.ones_like(phase), 2 * math.pi * ((ky * dy + kx * dx) / TILE - phase))
        c = _spectrum(folded)[ky % TILE, kx % TILE] * turn
        soft = torch.zeros(coding.CODED_BITS, dtype=torch.float64)
        soft.index_add_(0, w.place, torch.stack([c.real, c.imag], 1).flatten())
        return coding.decode(soft.numpy())

    def _correlate(self, folded: Tensor, fine: int) -> Tensor:
        """How far the waves for finding stand out, in standard deviations of random phases, at every shift.

        ``[64 fine, 64 fine]``: entry ``i`` is a shift by ``i / fine`` pixels.
        """
        w = self._waves
        ky, kx, phase = w.ky[: w.finding], w.kx[: w.finding], w.phase[: w.finding]
        c = _spectrum(folded)[ky % TILE, kx % TILE]
        side = TILE * fine
        turned = torch.zeros(side, side, dtype=torch.complex128)
        turned[ky % side, kx % side] = c * torch.polar(torch.ones_like(phase), -2 * math.pi * phase)
        return torch.fft.ifft2(turned).real * side**2 / (c.abs().square().sum() / 2).sqrt().clamp(min=1e-12)


def _surprise(z: float, tried: int) -> float:
    """-log10 of the chance that the largest of ``tried`` standard normal numbers reaches ``z``."""
    return -math.log10(min(max(tried * math.erfc(z / math.sqrt(2)) / 2, 1e-300), 1.0))


def _blur(y: Tensor, radius: int) -> Tensor:
    """Two means over squares of side 2 radius + 1, mirrored at the borders: near a Gaussian."""
    side = 2 * radius + 1
    for _ in range(2):
        pad = [min(radius, n - 1) for n in (y.shape[1], y.shape[1], y.shape[0], y.shape[0])]
        y = F.pad(y[None, None], pad, mode="reflect")
        y = F.avg_pool2d(y, side, stride=1)[0, 0] if min(y.shape[-2:]) >= side else y[0, 0]
    return y


def _whitened(y: Tensor) -> Tensor:
    """What is not smooth, in units of how busy the place is; edges are cut off."""
    r = y - _blur(y, 2)
    return (r / (_blur(r.square(), 2).clamp(min=0).sqrt() + 0.5)).clamp(-1.5, 1.5)


def _folded(r: Tensor, scale: float) -> Tensor:
    """The sum of all tiles of a picture that was scaled by ``scale``, in its original size: ``[64, 64]``."""
    if scale != 1:
        size = [max(round(n / scale), 2) for n in r.shape]
        r = F.interpolate(r[None, None], size=size, mode="bilinear", antialias=scale > 1, align_corners=False)[0, 0]
    height, width = r.shape
    r = F.pad(r, (0, -width % TILE, 0, -height % TILE))
    return r.unflatten(0, (-1, TILE)).unflatten(2, (-1, TILE)).sum((0, 2))


def _spectrum(folded: Tensor) -> Tensor:
    """The tile's Fourier coefficients ``[64, 64]``, each divided by the usual size of its ring; outliers are cut to twice it."""
    c = torch.fft.fft2(folded.double())
    k = torch.fft.fftfreq(TILE, 1 / TILE, dtype=torch.float64)
    ring = torch.hypot(k[:, None], k[None]).round().long()
    size = torch.zeros(int(ring.max()) + 1, dtype=torch.float64).index_add_(0, ring.flatten(), c.abs().flatten())
    size = (size / torch.bincount(ring.flatten()).clamp(min=1)).clamp(min=1e-9)[ring]
    c = c / size
    return c * (2 / c.abs().clamp(min=2))
