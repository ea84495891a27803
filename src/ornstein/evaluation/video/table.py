"""The metrics of video by name."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.feature_sets import frechet_of
from ornstein.evaluation.modality import Given, Measure, Modality, table_of
from ornstein.evaluation.video.features import OfflineFrames, VideoExtractor
from ornstein.evaluation.video.settings import VideoSettings
from ornstein.evaluation.video.videos import Videos, require_one_size
from ornstein.evaluation.video.warping import flow_by_name, warping


def _warping(x: Given[Videos]) -> dict[str, float]:
    s: VideoSettings = x.settings
    flow = flow_by_name(s.flow, s.block, s.radius)

    def each(videos: Videos) -> Tensor:
        found = [warping(clip, flow) for clip in videos.clips]
        return torch.tensor([[w.error, w.motion] for w in found], dtype=torch.float64)

    found = x.column("warping", each)
    if x.index is None and bool(found[:, 0].isnan().all()):
        raise DataError("warping_error: no pixel of any clip is found again in its next frame; raise radius or block")
    if x.index is None and (still := int((found[:, 1] == 0).sum())):
        x.warn(f"warping_error: {still} of {len(found)} clips do not move, and what does not move has no error")
    return {"warping_error": float(found[:, 0].nanmean()), "motion": float(found[:, 1].mean())}


def frechet_video(extractor: VideoExtractor | None = None) -> Measure[Videos]:
    """The Frechet distance in the features of an extractor, which the record names."""
    extract = extractor or OfflineFrames()
    about = (
        "Frechet distance of features of clips: of frames and their changes unless an extractor is given; no FVD of I3D"
    )
    return frechet_of("video_fd", about, extract, lambda videos: videos.clips)


VIDEO: Modality[Videos] = Modality(
    "video",
    "clips of frames",
    Videos,
    table_of(
        (
            frechet_video(),
            Measure(
                "warping_error",
                "squared difference between a frame and the next one led back along the optical flow; mean displacement",
                {"warping_error": "lower", "motion": ""},
                _warping,
                frozenset(),
                ("flow", "block", "radius"),
            ),
        )
    ),
    ("video_fd", "warping_error"),
    VideoSettings,
    require_one_size,
)
