r"""Structural similarity, Gaussian window of 11 pixels and sigma 1.5. Wang et al. 2004; multi-scale: Wang et al. 2003.

SSIM = mean of (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 + c_2)), c_1 = (0.01 L)^2,
c_2 = (0.03 L)^2, with population moments in each window. By default only windows inside the image count, as in the paper and
scikit-image; ``reflect`` extends images by their mirror image, as torchmetrics does.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.images.pairs import RANGE, pair

Border = Literal["inside", "reflect"]
RADIUS, SIGMA = 5, 1.5
WINDOW = 2 * RADIUS + 1
C_1, C_2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, finest first."""


def _blur(x: Tensor) -> Tensor:
    """Gaussian means of all windows that lie inside, ``[B, C, H - 10, W - 10]``."""
    g = torch.exp(-0.5 * (torch.arange(-RADIUS, RADIUS + 1, dtype=x.dtype, device=x.device) / SIGMA) ** 2)
    g = (g / g.sum()).expand(x.shape[1], 1, 1, WINDOW)
    return F.conv2d(F.conv2d(x, g, groups=x.shape[1]), g.mT, groups=x.shape[1])


def _means(x: Tensor, y: Tensor, border: Border) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part, averaged over each image, ``[B]``."""
    if min(x.shape[-2:]) < WINDOW:
        raise DataError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, got {x.shape[-2]} x {x.shape[-1]}")
    if border == "reflect":
        x, y = (F.pad(v, (RADIUS,) * 4, mode="reflect") for v in (x, y))
    m_x, m_y, xx, yy, xy = _blur(torch.cat([x, y, x * x, y * y, x * y])).chunk(5)
    contrast = (2 * (xy - m_x * m_y) + C_2) / (
        (xx - m_x * m_x).clamp_min(0) + (yy - m_y * m_y).clamp_min(0) + C_2
    )  # rounding may leave a variance below 0
    luminance = (2 * m_x * m_y + C_1) / (m_x * m_x + m_y * m_y + C_1)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def ssim(x: Tensor, y: Tensor, border: Border = "inside") -> Tensor:
    """Of each image, averaged over its channels, ``[B]``; 1 for equal images."""
    return _means(*pair(x, y), border)[0]


def ms_ssim_scales(height: int, width: int) -> int:
    """How many of the five scales fit: the coarsest must still hold a window, so five need 176 pixels."""
    scales = next((n for n in range(5, 0, -1) if min(height, width) >> (n - 1) >= WINDOW), 0)
    if not scales:
        raise DataError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, got {height} x {width}")
    return scales


def ms_ssim(x: Tensor, y: Tensor, border: Border = "inside") -> Tensor:
    """Multi-scale SSIM of each image, ``[B]``: contrast at every scale, luminance at the coarsest.

    Images too small for five scales (below 176 pixels) use those that fit, with powers that sum to 1 again; such numbers
    compare with numbers of the same size only. Negative contrast counts as 0, or its power would not be real.
    """
    a, b = pair(x, y)
    scales = ms_ssim_scales(*a.shape[-2:])
    powers = torch.tensor(POWERS[:scales], dtype=a.dtype)
    powers = powers / powers.sum() if scales < len(POWERS) else powers
    out = torch.ones(len(a), dtype=a.dtype, device=a.device)
    for i, power in enumerate(powers.tolist()):
        last = i == scales - 1
        # The border concerns the mean of the last scale's SSIM; contrast is averaged over inner windows in either case.
        whole, contrast = _means(a, b, border if last else "inside")
        out = out * (whole if last else contrast).clamp_min(0) ** power
        if not last:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return out
