"""Metrics of video: shifts that flow explains, features, bad input, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import frechet, measure
from ornstein.evaluation.features import PixelFeatures
from ornstein.evaluation.video import (
    FrameFeatures,
    Videos,
    VideoSettings,
    block_flow,
    frechet_video,
    read_videos,
    tvl1_flow,
    warping,
)
from ornstein.evaluation.video.flow import warp_back


def texture(height: int, width: int, channels: int = 1, seed: int = 0) -> Tensor:
    """Smooth noise in [0, 1]."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, height // 3 + 2, width // 3 + 2, generator=g, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)[0]


def sliding(dy: int, dx: int, frames: int = 4, channels: int = 1, seed: int = 0) -> Tensor:
    """A window that moves over a texture: every frame is the one before, moved by (dy, dx)."""
    far = 3 * frames
    world = (texture(32 + 2 * far, 32 + 2 * far, channels, seed) * 255).round().to(torch.uint8)
    rows, columns = ([far - t * d for t in range(frames)] for d in (dy, dx))
    return torch.stack([world[:, r : r + 32, c : c + 32] for r, c in zip(rows, columns, strict=True)])


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, 0), (0, -2), (3, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_shift_by_whole_pixels_is_no_error(dy: int, dx: int, channels: int) -> None:
    clip = sliding(dy, dx, channels=channels)
    luma = clip.double().mean(1) / 255
    flow = block_flow(luma[0], luma[1])
    assert (flow[0, 8:-8, 8:-8] == dy).all() and (flow[1, 8:-8, 8:-8] == dx).all()
    error, plain = warping(clip, block_flow).error, float((clip[1:] / 255 - clip[:-1] / 255).square().mean())
    assert error == 0 if (dy, dx) == (0, 0) else error < plain / 4  # blocks at the rim see what was not there before
    inner = warping(clip, lambda a, b: F.pad(block_flow(a, b)[:, 8:-8, 8:-8], (8, 8, 8, 8), value=99.0))
    assert inner.error < 1e-20  # with a rim that leads out of the frame, and so does not count


def test_warping_back_is_bilinear() -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0).double(), torch.arange(7.0).double(), indexing="ij")
    frame = torch.stack([2 * rows + 3 * columns, columns])  # linear, so that interpolation is exact
    flow = torch.stack([torch.full((6, 7), 0.25), torch.full((6, 7), -0.5)]).double()
    moved, inside = warp_back(frame, flow)
    assert inside.sum() == 5 * 6 and not inside[5].any() and not inside[:, 0].any()
    torch.testing.assert_close(moved[:, inside], (frame + torch.tensor([0.5 - 1.5, -0.5])[:, None, None])[:, inside])


def test_noise_that_flickers_is_the_error() -> None:
    """A still clip with independent noise: true flow (none) leaves the difference of two draws, 2 s^2."""
    g = torch.Generator().manual_seed(0)
    base = texture(48, 48)[None].expand(6, -1, -1, -1) * 0.6 + 0.2
    noisy = ((base + 0.05 * torch.randn(6, 1, 48, 48, generator=g)) * 255).round().clamp(0, 255).to(torch.uint8)
    still = warping(noisy, lambda a, b: torch.zeros(2, 48, 48))
    assert still.error == pytest.approx(2 * 0.05**2, rel=0.03) and still.motion == 0


def test_tvl1_sees_fractions_of_a_pixel() -> None:
    world = texture(40, 40, seed=3)
    fine = F.interpolate(world[None], scale_factor=2, mode="bicubic", align_corners=True)[0, 0]
    a, b = fine[0:64:2, 0:64:2], fine[1:65:2, 0:64:2]  # half a pixel down, about
    flow = tvl1_flow(a, b)
    assert float(flow[0, 8:-8, 8:-8].median()) == pytest.approx(-0.5, abs=0.1)
    assert float(flow[1, 8:-8, 8:-8].median()) == pytest.approx(0, abs=0.05)
    clip = (torch.stack([a, b])[:, None] * 255).round().to(torch.uint8)
    assert warping(clip, tvl1_flow).error < 0.5 * warping(clip, block_flow).error


def test_the_record_of_warping() -> None:
    moving, still = sliding(1, 1), sliding(0, 0)
    found = measure(Videos([moving, still]), metrics=["warping_error"], settings=VideoSettings(radius=2))
    assert (
        found.protocol["settings"] == {"flow": "block", "block": 8, "radius": 2} and found.protocol["size"] == "1x32x32"
    )
    assert 0.5 < found.values["motion"] < 1 and "1 of 2 clips do not move" in found.warnings[0]
    with pytest.raises(UsageError, match="unknown optical flow 'raft'"):
        measure(Videos([moving]), metrics=["warping_error"], settings=VideoSettings(flow="raft"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="too small for displacements of 40"):
        measure(Videos([moving]), metrics=["warping_error"], settings=VideoSettings(radius=40))


def videos(count: int, seed: int = 0, shade: int = 0) -> Videos:
    g = torch.Generator().manual_seed(seed)
    return Videos(torch.randint(0, 200, (count, 3, 1, 8, 8), generator=g, dtype=torch.uint8) + shade)


def test_features_are_means_over_time() -> None:
    extract = FrameFeatures(PixelFeatures(1, 8))
    clip = videos(1).clips[0]
    row = extract(clip)[0]
    x = clip.double().flatten(1) / 127.5 - 1
    torch.testing.assert_close(row, torch.cat([x.mean(0), (x[1:] - x[:-1]).abs().mean(0)]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(row, extract(clip.flip(0))[0])


def test_frechet_distance_of_a_shade() -> None:
    """Frames made brighter by 51 of 255: each of the 64 means moves by 0.4, the changes do not."""
    extract = FrameFeatures(PixelFeatures(1, 8))
    mine, theirs = videos(150, shade=51), videos(150)
    found = measure(mine, theirs, metrics=[frechet_video(extract)])
    assert found.values["video_fd"] == pytest.approx(64 * 0.4**2, rel=1e-4)
    rows = [torch.cat([extract(c) for c in v.clips]) for v in (mine, theirs)]
    assert found.values["video_fd"] == pytest.approx(frechet(*rows), rel=1e-9)
    assert found.protocol["settings"]["extractor"].startswith("pixels 8x8, mean")


def test_the_default_works_offline_and_is_named() -> None:
    g = torch.Generator().manual_seed(0)
    x = Videos(torch.randint(0, 256, (20, 2, 3, 28, 28), generator=g, dtype=torch.uint8))
    found = measure(x, x, metrics=["video_fd"], draws=0)
    settings = found.protocol["settings"]
    assert (
        found.values["video_fd"] == pytest.approx(0, abs=1e-4) and "fashion-mnist classifier" in settings["extractor"]
    )
    assert settings["extractor_hash"] == "d8c53d9e760b" and "bias the distance upwards" in found.warnings[0]


def test_bad_videos_are_refused() -> None:
    good = sliding(0, 1)
    for clips, words in (
        ([], "no video"),
        ([good, good[:1]], "video 1 has 1 frames"),
        ([good.float()], "video 0 must be uint8"),
        ([good, sliding(0, 1, channels=3)], "video 0 is 1x32x32 and video 1 is 3x32x32"),
    ):
        with pytest.raises(DataError, match=words):
            Videos(clips)
    with pytest.raises(DataError, match="the samples are 1x32x32 and the reference is 1x8x8"):
        measure(Videos([good]), videos(3), metrics=["video_fd"])


def test_files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "last.npz", frames=x, length=[3, 2])
    np.savez(tmp_path / "first.npz", x=np.moveaxis(x, 4, 2))
    first, last = read_videos(tmp_path / "first.npz"), read_videos(tmp_path / "last.npz")
    assert [len(c) for c in last.clips] == [3, 2] and torch.equal(first.clips[0], last.clips[0])
    (tmp_path / "clips").mkdir()
    frames = [Image.fromarray(f) for f in x[0]]
    frames[0].save(tmp_path / "clips" / "a.webp", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    (found,) = read_videos(tmp_path / "clips").clips
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy(), x[0])
    (tmp_path / "torn.gif").write_bytes(b"GIF89a")
    np.savez(tmp_path / "float.npz", frames=x / 255)
    for name, words in (("torn.gif", "cannot read"), ("float.npz", "must be uint8"), ("no.gif", "there is no")):
        with pytest.raises(DataError, match=words):
            read_videos(tmp_path / name)
