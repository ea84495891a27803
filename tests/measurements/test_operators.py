"""What each operator does, and what it refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from measurements.operators import NONLINEAR
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.measurements import (
    JPEG,
    Blur,
    ClippedExposure,
    Fourier,
    Grey,
    Mask,
    Matrix,
    Measurement,
    PhaseRetrieval,
    Quantise,
    average_pooling,
    bicubic,
    gaussian_blur,
    lines,
    motion,
    projections,
    radon,
)


def picture(size: int = 32) -> torch.Tensor:
    """A smooth picture, ``[1, 3, size, size]`` in [-1, 1]."""
    at = torch.linspace(0, 3, size, dtype=torch.float64)
    return torch.stack([torch.sin(at[:, None] * k) * torch.cos(at[None] * (k + 1)) for k in (1, 2, 3)])[None] * 0.9


def test_average_pooling_is_the_mean_of_blocks() -> None:
    x = picture(16)
    torch.testing.assert_close(average_pooling((3, 16, 16), 4)(x), torch.nn.functional.avg_pool2d(x, 4))


def test_bicubic_is_pillows() -> None:
    x = picture(32)
    mine = bicubic((3, 32, 32), 4)(x)[0, 0]
    theirs = Image.fromarray(x[0, 0].float().numpy()).resize((8, 8), Image.Resampling.BICUBIC)
    inner = slice(2, -2)  # at the edges Pillow cuts the kernel off where this mirrors the image
    torch.testing.assert_close(
        mine.float()[inner, inner], torch.tensor(np.asarray(theirs))[inner, inner], atol=2e-6, rtol=0
    )


def test_grey_is_pillows() -> None:
    byte = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    mine = Grey()(byte.double())[0, 0]
    theirs = np.asarray(Image.fromarray(byte[0].permute(1, 2, 0).byte().numpy()).convert("L"))
    assert float((mine - torch.tensor(theirs)).abs().max()) < 0.51


def test_jpeg_is_near_pillows() -> None:
    grey = ((picture(32)[0, 0] + 1) * 127.5).round().byte()
    file = io.BytesIO()
    tables = [[int(v) for v in JPEG(30).table.flatten()]]
    Image.fromarray(grey.numpy()).save(file, "jpeg", qtables=tables)
    theirs = torch.tensor(np.asarray(Image.open(file))).double() / 127.5 - 1
    mine = JPEG(30)(grey.double()[None, None] / 127.5 - 1)[0, 0]
    assert float((mine - theirs).abs().max()) < 1.1 / 127.5  # Pillow rounds the result to bytes


def test_blurs_keep_a_constant_image() -> None:
    flat = torch.full((1, 3, 12, 12), 0.4, dtype=torch.float64)
    for blur in (gaussian_blur((3, 12, 12), 1.5), Blur(motion(5, 45.0))):
        torch.testing.assert_close(blur(flat), flat)


def test_motion_lies_along_its_angle() -> None:
    across, up = motion(7, 0.0), motion(7, 90.0)
    torch.testing.assert_close(across[3].sum(), torch.ones((), dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(up, across.T, atol=1e-6, rtol=0)


def test_tomography_of_a_point_and_of_a_flat_image() -> None:
    a = radon((1, 9, 9), 4)
    point = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    point[0, 0, 4, 4] = 9
    views = a(point).reshape(4, 9)
    torch.testing.assert_close(views[:, 4], torch.ones(4, dtype=torch.float64))  # the middle, from everywhere
    flat = a(torch.ones(1, 1, 9, 9, dtype=torch.float64)).reshape(4, 9)
    torch.testing.assert_close(flat[0], torch.ones(9, dtype=torch.float64))


def test_phases_are_lost_and_sizes_kept() -> None:
    x, a = picture(8), PhaseRetrieval()
    torch.testing.assert_close(a(x.flip(-1, -2)), a(x))
    assert a.estimate(a(x)).shape == x.shape


def test_rounding_and_exposure() -> None:
    x = torch.tensor([-1.0, -0.4, 0.1, 0.9])
    torch.testing.assert_close(Quantise(3)(x), torch.tensor([-1.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(ClippedExposure(2.0)(x), torch.tensor([-1.0, -0.8, 0.2, 1.0]))


@pytest.mark.parametrize("name", NONLINEAR)
def test_an_operator_that_is_not_linear_is_refused_by_name(name: str) -> None:
    operator = NONLINEAR[name]
    x = picture(8)
    given = Measurement(operator(x), operator)
    with pytest.raises(CapabilityError, match=f"ddrm needs a linear operator, and {operator.name} is not.*(dps|pigdm)"):
        given.linear("ddrm")


def test_an_operator_without_values_names_the_methods_that_do() -> None:
    x, a = picture(8), Fourier(lines((8, 8), 2, 2))
    with pytest.raises(
        CapabilityError, match=r"ddrm needs the singular values of subsampled Fourier transform.*diffpir"
    ):
        Measurement(a(x), a).spectrum("ddrm")


def test_the_kernel_of_a_blur_should_sum_to_one() -> None:
    with pytest.warns(UserWarning, match="sums to 9, not to 1"):
        Blur(torch.ones(3, 3))


REFUSED = {
    "a mask holds 0 .* it also holds 0.5": lambda: Mask(torch.tensor([[0.0, 0.5]])),
    "every pixel as known": lambda: Mask(torch.ones(2, 2)),
    "marks no pixel as known": lambda: Mask(torch.zeros(2, 2)),
    "scale 3 does not divide 8 pixels for average pooling; 2, 4 do": lambda: average_pooling((1, 8, 8), 3),
    "scale 5 does not divide 8": lambda: bicubic((1, 8, 8), 5),
    "width of a blur must be positive, got 0": lambda: gaussian_blur((1, 8, 8), 0.0),
    "does not fit images of 2 x 2": lambda: Blur(motion(5, 0))(torch.zeros(1, 1, 2, 2)),
    "odd number of pixels": lambda: motion(4, 0.0),
    "matrix \\(3, 5\\) does not fit states": lambda: Matrix(torch.zeros(3, 5), (1, 2, 2)),
    "must lie in 1 .. 3": lambda: projections((1, 2, 2), 4),
    "square images": lambda: radon((1, 4, 6), 3),
    "a mask of frequencies": lambda: Fourier(torch.full((4, 4), 0.5)),
    "leave 1 lines": lambda: lines((8, 8), 8),
    "does not fit 1; colourising needs a model of colours": lambda: Grey()(torch.zeros(1, 1, 4, 4)),
    "at least 2 levels": lambda: Quantise(1),
    "lies in 1 .. 100, got 0": lambda: JPEG(0),
    "oversampling >= 1": lambda: PhaseRetrieval(0.5),
    "gain of an exposure must be positive": lambda: ClippedExposure(0.0),
    "standard deviation >= 0, got -1": lambda: Measurement(torch.zeros(1), Quantise(2), -1.0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


def test_a_measurement_that_does_not_fit() -> None:
    a = average_pooling((1, 8, 8), 2)
    with pytest.raises(DataError, match=r"has the shape \(1, 1, 8, 8\), and 2x average pooling makes \(1, 1, 4, 4\)"):
        Measurement(torch.zeros(1, 1, 8, 8), a).residual(torch.zeros(1, 1, 8, 8))
    with pytest.raises(DataError, match="not finite"):
        Measurement(torch.full((1,), torch.nan), a)
