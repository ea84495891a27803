"""Videos out of NPZ arrays, animated pictures and film files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation.reading import arrays_of, files_of
from ornstein.evaluation.video.videos import Videos

PICTURES = (".gif", ".webp", ".apng")
FILMS = (".mp4", ".webm", ".mkv", ".avi", ".mov")
SUFFIXES = (*PICTURES, *FILMS)


def read_videos(path: Path) -> Videos:
    """A film or animated picture, a folder of them (by name), or an NPZ with ``frames`` uint8 ``[N, T, C, H, W]`` or
    ``[N, T, H, W, C]`` and, if any, ``length``."""
    if path.suffix != ".npz":
        return Videos([_read(file) for file in files_of(path, SUFFIXES, "video")])
    found = arrays_of(path, ("frames", "x"))
    x = found.main
    if x.dtype != np.uint8 or x.ndim != 5:
        raise DataError(f"{path}: frames must be uint8 [N, T, C, H, W], got {x.dtype} {x.shape}")
    if x.shape[2] not in (1, 3) and x.shape[4] in (1, 3):
        x = np.moveaxis(x, 4, 2)
    lengths = found.per_item("length", len(x), np.full(len(x), x.shape[1]))
    return Videos([torch.from_numpy(np.ascontiguousarray(v[: int(n)])) for v, n in zip(x, lengths, strict=True)])


def _read(file: Path) -> Tensor:
    frames = _film(file) if file.suffix.lower() in FILMS else _picture(file)
    if not frames:
        raise DataError(f"{file} holds no frame")
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _picture(file: Path) -> list[np.ndarray]:
    try:
        with Image.open(file) as picture:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]
    except (OSError, UnidentifiedImageError, ValueError) as e:
        raise DataError(f"cannot read {file}: {e}") from e


def _film(file: Path) -> list[np.ndarray]:
    try:
        import av
    except ImportError as e:
        raise UsageError(
            f"reading {file.name} needs PyAV: pip install 'ornstein[video]'; or store the frames as NPZ"
        ) from e
    try:
        with av.open(str(file)) as film:
            return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    except (av.error.FFmpegError, IndexError) as e:
        raise DataError(f"cannot read {file}: {e}") from e
