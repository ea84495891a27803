r"""How noisy the gradient is, in samples: the batch size at which its noise equals its signal.

McCandlish et al. 2018 (1812.06162), appendix A.1. With g_b the gradient of a batch of b samples, E|g_b|^2 =
|G|^2 + tr(S)/b, so two batch sizes give both unknowns without bias:

    |G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b),    tr(S) = (|g_b|^2 - |g_B|^2) / (1/b - 1/B),    scale = tr(S) / |G|^2.
"""

from __future__ import annotations


class NoiseScale:
    """The ratio of two running means: each estimate alone is noisy, and the mean of ratios would be biased."""

    def __init__(self, decay: float = 0.95):
        self.decay = decay
        self.signal = self.noise = 0.0

    def add(self, small: float, b: int, large: float, B: int) -> None:
        """Squared gradient norms of ``b`` samples and of the ``B`` samples that hold them."""
        signal = (B * large - b * small) / (B - b)
        noise = (small - large) / (1 / b - 1 / B)
        self.signal = self.decay * self.signal + (1 - self.decay) * signal
        self.noise = self.decay * self.noise + (1 - self.decay) * noise

    @property
    def value(self) -> float | None:
        """In samples; None while the estimates do not allow one (no gradient left in the noise)."""
        return self.noise / self.signal if self.signal > 0 and self.noise > 0 else None

    def state(self) -> list[float]:
        """What :meth:`restore` takes."""
        return [self.signal, self.noise]

    def restore(self, state: list[float]) -> None:
        """Go on from there."""
        self.signal, self.noise = state
