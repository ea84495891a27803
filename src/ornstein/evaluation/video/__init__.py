"""Metrics of video: features of clips, and what optical flow does not explain."""

from ornstein.evaluation.video.features import FrameFeatures as FrameFeatures
from ornstein.evaluation.video.files import read_videos as read_videos
from ornstein.evaluation.video.flow import block_flow as block_flow
from ornstein.evaluation.video.flow import tvl1_flow as tvl1_flow
from ornstein.evaluation.video.settings import VideoSettings as VideoSettings
from ornstein.evaluation.video.table import frechet_video as frechet_video
from ornstein.evaluation.video.videos import Videos as Videos
from ornstein.evaluation.video.warping import Warping as Warping
from ornstein.evaluation.video.warping import warping as warping
