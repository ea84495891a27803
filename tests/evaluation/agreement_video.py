"""Our metrics of video beside SciPy's, scikit-image's and torchmetrics'."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from skimage.registration import optical_flow_tvl1
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from evaluation.agreement import Pixels
from evaluation.trusted import Numbers, Row
from ornstein.evaluation import measure
from ornstein.evaluation.video import Videos, frechet_video, warping
from ornstein.evaluation.video.flow import tvl1_flow, warp_back


def clip() -> Tensor:
    """A smooth picture that moves by fractions of a pixel and brightens, ``[3, 1, 24, 24]`` uint8."""
    y, x = np.mgrid[0:24, 0:24].astype(float)
    frames = [120 + 60 * np.sin(0.5 * (x - 0.6 * t)) * np.cos(0.4 * (y + 0.3 * t)) + 4 * t for t in range(3)]
    return torch.from_numpy(np.stack(frames)[:, None].round().astype(np.uint8))


def of_warp() -> tuple[Numbers, Numbers]:
    frame = clip()[0].double() + 1
    flow = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (2, 24, 24)))
    moved, inside = warp_back(frame, flow)
    place = np.mgrid[0:24, 0:24] + flow.numpy()
    theirs = map_coordinates(frame[0].numpy(), place, order=1)
    assert (((place >= 0) & (place <= 23)).all(0) == inside.numpy()).all()
    return moved[0][inside].tolist(), theirs[inside.numpy()].tolist()


def of_warping() -> tuple[Numbers, Numbers]:
    x = clip().numpy()[:, 0] / 255.0
    errors, motions = [], []
    for a, b in itertools.pairwise(x):
        forth, back = optical_flow_tvl1(a, b), optical_flow_tvl1(b, a)
        place = np.mgrid[0:24, 0:24] + forth
        returned = np.stack([map_coordinates(part, place, order=1, mode="nearest") for part in back])
        length = (forth**2).sum(0) + (returned**2).sum(0)
        seen = ((place >= 0) & (place <= 23)).all(0) & (((forth + returned) ** 2).sum(0) <= 0.01 * length + 0.5)
        errors.append(((a - map_coordinates(b, place, order=1)) ** 2)[seen].mean())
        motions.append(np.sqrt((forth**2).sum(0)).mean())
    found = warping(clip(), tvl1_flow)
    return [found.error, found.motion], [np.mean(errors), np.mean(motions)]


def of_frechet() -> tuple[Numbers, Numbers]:
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, high, (90, 2, 3, 4, 4), generator=g, dtype=torch.uint8) for high in (200, 256))

    def first_frame(video: Tensor) -> Tensor:
        return video[:1].flatten(1).double() / 255

    theirs = FrechetInceptionDistance(feature=Pixels(), input_img_size=(3, 4, 4), normalize=True).set_dtype(
        torch.float64
    )
    theirs.update(b[:, 0].double() / 255, real=True)
    theirs.update(a[:, 0].double() / 255, real=False)
    found = measure(Videos(a), Videos(b), metrics=[frechet_video(first_frame)], draws=0)
    return [found.values["video_fd"]], [float(theirs.compute())]


ROWS = (
    Row("warping along a flow", "SciPy `map_coordinates`", of_warp),
    Row("warping error, `flow=tvl1`", "scikit-image `optical_flow_tvl1`, SciPy `map_coordinates`", of_warping),
    Row("Frechet distance of features of clips", "torchmetrics `FrechetInceptionDistance`", of_frechet),
)
