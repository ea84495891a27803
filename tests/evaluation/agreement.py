"""Our metrics beside the implementations that the field trusts, a row each; tests and ``docs/metrics.md`` are made of it."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import ot
import scipy.stats
import torch
from scipy.spatial.distance import cdist
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torchmetrics.functional import image as torchmetrics_image
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from evaluation.trusted import Numbers, Row
from ornstein.evaluation import frechet, kid, prdc
from ornstein.evaluation.classifier_score import classifier_score
from ornstein.evaluation.energy import energy_distance
from ornstein.evaluation.images import ms_ssim, psnr, ssim
from ornstein.evaluation.mmd import mmd
from ornstein.evaluation.sliced_wasserstein import directions, sliced_wasserstein
from ornstein.evaluation.two_sample import logistic_regression
from ornstein.evaluation.vendi import vendi


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
    """The same as images 3 x 4 x 4."""
    return x.reshape(-1, 3, 4, 4)


def noisy(size: int) -> tuple[Tensor, Tensor]:
    """Smooth pictures 0..255, and the same with noise."""
    g = torch.Generator().manual_seed(7)
    coarse = torch.rand(4, 3, 8, 8, generator=g, dtype=torch.float64)
    x = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1) * 255
    y = x + 25 * torch.randn(x.shape, generator=g, dtype=torch.float64)
    return x.round(), y.clamp(0, 255).round()


def of_frechet() -> tuple[Numbers, Numbers]:
    a, b = draws(400, 1, 0.2), draws(500, 2)
    theirs = FrechetInceptionDistance(feature=Pixels(), input_img_size=(3, 4, 4), normalize=True)
    theirs = theirs.set_dtype(torch.float64)
    theirs.update(pictures(b), real=True)
    theirs.update(pictures(a), real=False)
    return [frechet(a, b)], [float(theirs.compute())]


def of_kid() -> tuple[Numbers, Numbers]:
    a, b = draws(300, 1, 0.2), draws(300, 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`")  # keeps all features in memory
        theirs = KernelInceptionDistance(feature=Pixels(), subsets=1, subset_size=300, normalize=True)
    theirs = theirs.set_dtype(torch.float64)
    theirs.update(pictures(b).double(), real=True)
    theirs.update(pictures(a).double(), real=False)
    return [kid(a, b)], [float(theirs.compute()[0])]


def of_classifier_score() -> tuple[Numbers, Numbers]:
    logits = draws(300, 3) / 4
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `InceptionScore`")
        theirs = InceptionScore(feature=Pixels(), splits=3).set_dtype(torch.float64)
    theirs.update(pictures(logits))
    torch.manual_seed(4)  # it shuffles before it splits, with the global generator; so do we here
    wanted = float(theirs.compute()[0])
    torch.manual_seed(4)
    return [classifier_score(logits[torch.randperm(300)], splits=3)], [wanted]


def of_prdc(k: int) -> tuple[Numbers, Numbers]:
    a, b = draws(250, 1, 0.1), draws(320, 2)
    x, y = a.double().numpy(), b.double().numpy()
    r_x, r_y = (NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(z).kneighbors(z)[0][:, -1] for z in (x, y))
    d = cdist(x, y)
    theirs = [
        (d < r_y).any(1).mean(), (d < r_x[:, None]).any(0).mean(), (d < r_y).sum() / (k * len(x)), (d.min(0) < r_y).mean(),
    ]  # fmt: skip
    got = prdc(a, b, k)
    return [got.precision, got.recall, got.density, got.coverage], theirs


def of_sliced_wasserstein(n: int, m: int, p: int) -> tuple[Numbers, Numbers]:
    a, b, u = draws(n, 1, 0.2).double(), draws(m, 2).double(), directions(48, 70, seed=5)
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), p=p, projections=u.numpy())
    return [sliced_wasserstein(a, b, u, p=p)], [float(theirs)]


def of_mmd() -> tuple[Numbers, Numbers]:
    a, b, s = draws(120, 1, 0.5), draws(150, 2), 4.0
    k = [rbf_kernel(x.double().numpy(), y.double().numpy(), gamma=0.5 / s**2) for x, y in ((a, a), (b, b), (a, b))]
    n, m = len(a), len(b)
    return [mmd(a, b, s)], [(k[0].sum() - n) / (n * (n - 1)) + (k[1].sum() - m) / (m * (m - 1)) - 2 * k[2].mean()]


def of_energy() -> tuple[Numbers, Numbers]:
    a, b = draws(130, 1, 0.7, 1), draws(140, 2, dims=1)
    x, y, n, m = a.double().numpy(), b.double().numpy(), len(a), len(b)
    # scipy's is the root of the same statistic with N^2 in place of N (N - 1).
    own = cdist(x, x).sum() / (n * n * (n - 1)) + cdist(y, y).sum() / (m * m * (m - 1))
    return [energy_distance(a, b) + own], [scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2]


def of_energy_in_six_dimensions() -> tuple[Numbers, Numbers]:
    a, b = draws(130, 1, 0.7, 6), draws(140, 2, dims=6)
    x, y, n, m = a.double().numpy(), b.double().numpy(), len(a), len(b)
    wanted = 2 * cdist(x, y).mean() - cdist(x, x).sum() / (n * (n - 1)) - cdist(y, y).sum() / (m * (m - 1))
    return [energy_distance(a, b)], [wanted]


def of_logistic_regression() -> tuple[Numbers, Numbers]:
    x, y = torch.cat([draws(150, 1, 0.1, 8), draws(150, 2, dims=8)]).double(), torch.arange(300) < 150
    w, bias = logistic_regression(x, y)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x.numpy(), y.numpy())
    return [*w.tolist(), float(bias)], [*theirs.coef_[0], float(theirs.intercept_[0])]


def of_vendi() -> tuple[Numbers, Numbers]:
    x = draws(70, 1)
    y = (x / x.norm(dim=1, keepdim=True)).double().numpy()
    return [vendi(x)], [np.exp(scipy.stats.entropy(np.linalg.eigvalsh(y @ y.T / len(y)).clip(0)))]


def of_psnr() -> tuple[Numbers, Numbers]:
    x, y = noisy(40)
    theirs = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=255) for a, b in zip(x, y, strict=True)]
    return psnr(x, y).tolist(), theirs


def of_psnr_in_torchmetrics() -> tuple[Numbers, Numbers]:
    x, y = noisy(24)
    theirs = torchmetrics_image.peak_signal_noise_ratio(x, y, data_range=255.0, reduction="none", dim=(1, 2, 3))
    return psnr(x, y).tolist(), theirs.tolist()


def of_ssim() -> tuple[Numbers, Numbers]:
    x, y = noisy(40)
    theirs = [
        structural_similarity(
            a.numpy(), b.numpy(), data_range=255, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(x, y, strict=True)
    ]  # fmt: skip
    return ssim(x, y).tolist(), theirs


def of_ssim_in_torchmetrics() -> tuple[Numbers, Numbers]:
    x, y = noisy(40)
    theirs = torchmetrics_image.structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    return ssim(x, y, border="reflect").tolist(), theirs.tolist()


def of_ms_ssim_in_torchmetrics() -> tuple[Numbers, Numbers]:
    x, y = noisy(192)
    theirs = torchmetrics_image.multiscale_structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    return ms_ssim(x, y, border="reflect").tolist(), theirs.tolist()


POT = "POT `sliced_wasserstein_distance`"
NEIGHBOURS = "scikit-learn `NearestNeighbors`"
MULTISCALE = "torchmetrics `multiscale_structural_similarity_index_measure`"

ROWS = (
    Row("Frechet distance", "torchmetrics `FrechetInceptionDistance`", of_frechet),
    Row("kernel distance", "torchmetrics `KernelInceptionDistance`", of_kid),
    Row("classifier score", "torchmetrics `InceptionScore`, 3 splits", of_classifier_score),
    Row("precision, recall, density, coverage, k = 5", NEIGHBOURS, partial(of_prdc, 5)),
    Row("precision, recall, density, coverage, k = 1", NEIGHBOURS, partial(of_prdc, 1)),
    Row("sliced Wasserstein, p = 2", POT, partial(of_sliced_wasserstein, 200, 200, 2)),
    Row("sliced Wasserstein, p = 1", POT, partial(of_sliced_wasserstein, 200, 200, 1)),
    Row("sliced Wasserstein of sets of two sizes, p = 2", POT, partial(of_sliced_wasserstein, 150, 210, 2)),
    Row("MMD, Gaussian kernel", "scikit-learn `rbf_kernel`", of_mmd),
    Row("energy distance, 1 dimension", "scipy `energy_distance`", of_energy),
    Row("energy distance, 6 dimensions", "scipy `cdist`", of_energy_in_six_dimensions),
    Row("classifier of the two-sample test", "scikit-learn `LogisticRegression`", of_logistic_regression),
    Row("Vendi score", "scipy `entropy`, NumPy `eigvalsh`", of_vendi),
    Row("PSNR", "scikit-image `peak_signal_noise_ratio`", of_psnr),
    Row("PSNR", "torchmetrics `peak_signal_noise_ratio`", of_psnr_in_torchmetrics),
    Row("SSIM", "scikit-image `structural_similarity`", of_ssim),
    Row('SSIM, `border="reflect"`', "torchmetrics `structural_similarity_index_measure`", of_ssim_in_torchmetrics),
    Row('MS-SSIM, `border="reflect"`', MULTISCALE, of_ms_ssim_in_torchmetrics),
)
