"""The same numbers as the implementations that the field trusts, to 1e-4 relative; ``docs/metrics.md`` lists them."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import scipy.stats
import torch
from scipy.spatial.distance import cdist
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as peak_signal_noise_ratio_of_torchmetrics,
)
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from ornstein.evaluation import frechet, kid, prdc
from ornstein.evaluation.classifier_score import classifier_score
from ornstein.evaluation.energy import energy_distance
from ornstein.evaluation.images import ms_ssim, psnr, ssim
from ornstein.evaluation.mmd import mmd
from ornstein.evaluation.sliced_wasserstein import directions, sliced_wasserstein
from ornstein.evaluation.two_sample import logistic_regression
from ornstein.evaluation.vendi import vendi

TOLERANCE = 1e-4


class Pixels(nn.Module):
    """Images as feature vectors, so that torchmetrics measures in the very features that ours are given."""

    num_features = 48

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def draws(n: int, seed: int, shift: float = 0.0, dims: int = 48) -> Tensor:
    """Correlated, skewed vectors ``[n, dims]``."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(dims, dims, generator=torch.Generator().manual_seed(99)) / dims**0.5
    return (torch.randn(n, dims, generator=g) @ mix).exp() + shift


def pictures(x: Tensor) -> Tensor:
    return x.reshape(-1, 3, 4, 4)


def test_frechet_is_that_of_torchmetrics() -> None:
    a, b = draws(400, 1, 0.2), draws(500, 2)
    theirs = FrechetInceptionDistance(feature=Pixels(), input_img_size=(3, 4, 4), normalize=True).set_dtype(
        torch.float64
    )
    theirs.update(pictures(b), real=True)
    theirs.update(pictures(a), real=False)
    assert frechet(a, b) == pytest.approx(float(theirs.compute()), rel=TOLERANCE)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")  # keeps all features in memory
def test_kid_is_that_of_torchmetrics() -> None:
    a, b = draws(300, 1, 0.2), draws(300, 2)
    theirs = KernelInceptionDistance(feature=Pixels(), subsets=1, subset_size=300, normalize=True).set_dtype(
        torch.float64
    )
    theirs.update(pictures(b).double(), real=True)
    theirs.update(pictures(a).double(), real=False)
    mean, _ = theirs.compute()
    assert kid(a, b) == pytest.approx(float(mean), rel=TOLERANCE)


@pytest.mark.parametrize("k", [1, 5])
def test_prdc_by_the_neighbours_of_scikit_learn(k: int) -> None:
    a, b = draws(250, 1, 0.1), draws(320, 2)
    x, y = a.double().numpy(), b.double().numpy()
    radius = {
        name: NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(z).kneighbors(z)[0][:, -1]
        for name, z in (("x", x), ("y", y))
    }
    d = np.linalg.norm(x[:, None] - y[None], axis=2)
    got = prdc(a, b, k)
    assert got.precision == pytest.approx((d < radius["y"]).any(1).mean(), rel=TOLERANCE)
    assert got.recall == pytest.approx((d < radius["x"][:, None]).any(0).mean(), rel=TOLERANCE)
    assert got.density == pytest.approx((d < radius["y"]).sum() / (k * len(x)), rel=TOLERANCE)
    assert got.coverage == pytest.approx((d.min(0) < radius["y"]).mean(), rel=TOLERANCE)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`:UserWarning")  # keeps all features in memory
def test_classifier_score_is_that_of_torchmetrics() -> None:
    # It shuffles before it splits, with the global generator; so do we here.
    logits = draws(300, 3) / 4
    theirs = InceptionScore(feature=Pixels(), splits=3).set_dtype(torch.float64)
    theirs.update(pictures(logits))
    torch.manual_seed(4)
    wanted = float(theirs.compute()[0])
    torch.manual_seed(4)
    assert classifier_score(logits[torch.randperm(300)], splits=3) == pytest.approx(wanted, rel=TOLERANCE)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (150, 210)])
@pytest.mark.parametrize("p", [1, 2])
def test_sliced_wasserstein_is_that_of_pot(n: int, m: int, p: int) -> None:
    a, b = draws(n, 1, 0.2).double(), draws(m, 2).double()
    u = directions(48, 70, seed=5)
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), p=p, projections=u.numpy())
    assert sliced_wasserstein(a, b, u, p=p) == pytest.approx(float(theirs), rel=TOLERANCE)


def test_mmd_by_the_kernels_of_scikit_learn() -> None:
    a, b, s = draws(120, 1, 0.5), draws(150, 2), 4.0
    k = [rbf_kernel(x.double().numpy(), y.double().numpy(), gamma=0.5 / s**2) for x, y in ((a, a), (b, b), (a, b))]
    n, m = len(a), len(b)
    wanted = (k[0].sum() - n) / (n * (n - 1)) + (k[1].sum() - m) / (m * (m - 1)) - 2 * k[2].mean()
    assert mmd(a, b, s) == pytest.approx(wanted, rel=TOLERANCE)


def test_energy_distance_by_scipy() -> None:
    a, b = draws(130, 1, 0.7, 6), draws(140, 2, dims=6)
    n, m = len(a), len(b)
    x, y = a.double().numpy(), b.double().numpy()
    wanted = 2 * cdist(x, y).mean() - cdist(x, x).sum() / (n * (n - 1)) - cdist(y, y).sum() / (m * (m - 1))
    assert energy_distance(a, b) == pytest.approx(wanted, rel=TOLERANCE)
    # In one dimension scipy has the distance itself: the root of the same with N^2 in place of N (N - 1).
    x, y = x[:, :1], y[:, :1]
    biased = (
        energy_distance(a[:, :1], b[:, :1])
        + cdist(x, x).sum() / (n * n * (n - 1))
        + cdist(y, y).sum() / (m * m * (m - 1))
    )
    assert biased == pytest.approx(scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=TOLERANCE)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    a, b = draws(150, 1, 0.1, 8), draws(150, 2, dims=8)
    x, y = torch.cat([a, b]).double(), (torch.arange(300) < 150)
    w, bias = logistic_regression(x, y)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(w.numpy(), theirs.coef_[0], rtol=TOLERANCE, atol=1e-6)
    assert float(bias) == pytest.approx(float(theirs.intercept_[0]), rel=TOLERANCE)


def test_vendi_by_the_entropy_of_scipy() -> None:
    x = draws(70, 1)
    y = (x / x.norm(dim=1, keepdim=True)).double().numpy()
    wanted = np.exp(scipy.stats.entropy(np.linalg.eigvalsh(y @ y.T / len(y)).clip(0)))
    assert vendi(x) == pytest.approx(wanted, rel=TOLERANCE)


def noisy(size: int, channels: int = 3, count: int = 4) -> tuple[Tensor, Tensor]:
    """Smooth pictures 0..255, and the same with noise."""
    g = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, channels, 8, 8, generator=g, dtype=torch.float64)
    x = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1) * 255
    y = x + 25 * torch.randn(x.shape, generator=g, dtype=torch.float64)
    return x.round(), y.clamp(0, 255).round()


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    x, y = noisy(40)
    for i in range(len(x)):
        a, b = (v[i].permute(1, 2, 0).numpy() for v in (x, y))
        assert float(psnr(x, y)[i]) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), rel=TOLERANCE)
        wanted = structural_similarity(
            a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(ssim(x, y)[i]) == pytest.approx(wanted, rel=TOLERANCE)


def test_ssim_is_that_of_torchmetrics() -> None:
    x, y = noisy(40)
    wanted = structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    torch.testing.assert_close(ssim(x, y, border="reflect"), wanted, rtol=TOLERANCE, atol=0)


def test_ms_ssim_is_that_of_torchmetrics() -> None:
    x, y = noisy(192)
    wanted = multiscale_structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    torch.testing.assert_close(ms_ssim(x, y, border="reflect"), wanted, rtol=TOLERANCE, atol=0)


def test_psnr_is_that_of_torchmetrics() -> None:
    x, y = noisy(24)
    wanted = peak_signal_noise_ratio_of_torchmetrics(x, y, data_range=255.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(x, y), wanted, rtol=TOLERANCE, atol=0)
