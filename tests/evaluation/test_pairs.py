"""Paired measures of images: by hand, and on images whose value is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.images import LPIPS, lr_consistency, ms_ssim, ms_ssim_scales, psnr, ssim
from ornstein.evaluation.images.lr_consistency import reduce


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def test_psnr_by_hand() -> None:
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    y = x.clone()
    y[1] = 255
    y[0, :, :2] = 51  # half of the pixels by a fifth of the range: mse 0.02
    torch.testing.assert_close(psnr(x, y), torch.tensor([16.9897, 0.0], dtype=torch.float64), rtol=1e-5, atol=1e-9)
    assert torch.isinf(psnr(x, x)).all()


def test_ssim_of_equal_and_of_constant_images() -> None:
    x = noise(2, 1, 16, 16)
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))
    a, b = torch.full((1, 1, 12, 12), 40.0), torch.full((1, 1, 12, 12), 90.0)
    c_1 = (0.01 * 255) ** 2  # no contrast: the luminance term alone
    assert float(ssim(a, b)) == pytest.approx((2 * 40 * 90 + c_1) / (40**2 + 90**2 + c_1), rel=1e-9)


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (21, 1), (22, 2), (32, 2), (44, 3), (175, 4), (176, 5), (299, 5)]
)
def test_ms_ssim_takes_the_scales_that_fit(side: int, scales: int) -> None:
    assert ms_ssim_scales(side, side + 5) == scales
    x = noise(1, 1, side, side)
    assert float(ms_ssim(x, x)) == pytest.approx(1)


def test_ms_ssim_at_one_scale_is_ssim() -> None:
    x, y = noise(3, 1, 16, 16), noise(3, 1, 16, 16)
    torch.testing.assert_close(ms_ssim(x, y), ssim(x, y).clamp_min(0))


def test_lpips_is_its_definition() -> None:
    def backbone(x: Tensor) -> list[Tensor]:
        return [torch.cat([x, -x, x * x], 1), x.square().mean((2, 3), keepdim=True) + 1]

    weights = [torch.tensor([0.5, 2.0, 0.0]), torch.tensor([3.0])]
    x, y = noise(2, 1, 3, 3), noise(2, 1, 3, 3)
    got = LPIPS(backbone, weights)(x, y)
    for i in range(2):
        total = 0.0
        f, g = (backbone(v.float()[i : i + 1] / 127.5 - 1) for v in (x, y))
        for a, b, w in zip(f, g, weights, strict=True):
            for r in range(a.shape[2]):
                for c in range(a.shape[3]):
                    u, v = a[0, :, r, c], b[0, :, r, c]
                    d = u / u.norm() - v / v.norm()
                    total += float((w * d * d).sum()) / (a.shape[2] * a.shape[3])
        assert float(got[i]) == pytest.approx(total, rel=1e-5)
    assert (LPIPS(backbone)(x, x) == 0).all()
    with pytest.raises(UsageError, match="weights must not be negative"):
        LPIPS(backbone, [torch.tensor([-1.0])])
    with pytest.raises(UsageError, match=r"maps of \[3, 1\] channels, the weights are for \[3\]"):
        LPIPS(backbone, weights[:1])(x, y)


def test_lr_consistency() -> None:
    x = noise(2, 3, 16, 16)
    assert (lr_consistency(x, x, 4) == 0).all()
    small = reduce(x.double(), 4)
    torch.testing.assert_close(lr_consistency(x, small + 25.5, 4), torch.full((2,), 0.01, dtype=torch.float64))
    with pytest.raises(DataError, match="16 x 16 cannot be reduced 3 times"):
        lr_consistency(x, x, 3)


def test_shapes_must_agree() -> None:
    for measure in (psnr, ssim, ms_ssim):
        with pytest.raises(
            DataError, match=r"images \[B, C, H, W\] of one shape, got \(2, 1, 16, 16\) and \(2, 3, 16, 16\)"
        ):
            measure(noise(2, 1, 16, 16), noise(2, 3, 16, 16))
    with pytest.raises(DataError, match="at least 11 x 11 pixels, got 8 x 8"):
        ssim(noise(1, 1, 8, 8), noise(1, 1, 8, 8))
