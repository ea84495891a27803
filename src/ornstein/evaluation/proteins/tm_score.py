r"""TM-score: agreement of two folds whose residues correspond. Zhang & Skolnick 2004.

max over rotations and shifts of (1/L) sum_i 1 / (1 + (d_i / d_0)^2), d_0 = 1.24 (L - 15)^{1/3} - 1.8 Angstrom (at least 0.5):
1 for equal folds, about 0.2 for unrelated ones, above 0.5 for one fold. The maximum is sought as in the authors' program:
superpositions of fragments of L, L/2, L/4, ... residues, each refined on the residues that it brings near.
"""

from __future__ import annotations

import numpy as np

from ornstein.core.errors import DataError

ITERATIONS = 20
SHORTEST = 4


def kabsch(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation R (no reflection) and shift t that make sum |R a_i + t - b_i|^2 least, of ``[K, 3]``. Kabsch 1976."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    u, _, vt = np.linalg.svd((a - mean_a).T @ (b - mean_b))
    sign = np.sign(np.linalg.det(u @ vt))
    rotation = vt.T @ np.diag([1.0, 1.0, sign if sign else 1.0]) @ u.T
    return rotation, mean_b - rotation @ mean_a


def scale(length: int) -> float:
    """d_0 in Angstrom."""
    return max(0.5, 1.24 * np.cbrt(length - 15) - 1.8)


def tm_score(a: np.ndarray, b: np.ndarray) -> float:
    """Of CA atoms ``[L, 3]`` of two chains, residue i with residue i.

    Raises:
        DataError: chains of two lengths, or of fewer than three residues.
    """
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 3:
        raise DataError(
            f"a TM-score compares residue i with residue i, and the chains have {len(a)} and {len(b)}; align and cut them first"
        )
    length = len(a)
    if length < 3:
        raise DataError(f"a TM-score needs at least 3 residues, got {length}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    d_0 = scale(length)
    reach = float(np.clip(d_0, 4.5, 8.0))
    best, size = 0.0, length
    while True:
        step = 1 if size < 64 else size // 32
        for start in range(0, length - size + 1, step):
            chosen = np.arange(start, start + size)
            best = max(best, _refined(a, b, chosen, d_0, reach))
        if size <= min(SHORTEST, length):
            return best
        size = max(SHORTEST, size // 2)


def _refined(a: np.ndarray, b: np.ndarray, chosen: np.ndarray, d_0: float, reach: float) -> float:
    """The best score on the way from one fragment's superposition to that of all residues that it brings near."""
    best = 0.0
    for iteration in range(ITERATIONS):
        rotation, shift = kabsch(a[chosen], b[chosen])
        squared = np.square(a @ rotation.T + shift - b).sum(1)
        best = max(best, float((1 / (1 + squared / d_0**2)).mean()))
        limit = reach + (1.0 if iteration else -1.0)
        near = np.flatnonzero(squared < limit**2)
        while len(near) < 3:
            limit += 0.5
            near = np.flatnonzero(squared < limit**2)
        if iteration and len(near) == len(chosen) and (near == chosen).all():
            break
        chosen = near
    return best
