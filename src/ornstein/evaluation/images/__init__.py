"""Measures of one image against another; all take ``[B, C, H, W]`` in 0..255 and give ``[B]``."""

from ornstein.evaluation.images.lpips import LPIPS as LPIPS
from ornstein.evaluation.images.lr_consistency import lr_consistency as lr_consistency
from ornstein.evaluation.images.psnr import psnr as psnr
from ornstein.evaluation.images.ssim import ms_ssim as ms_ssim
from ornstein.evaluation.images.ssim import ms_ssim_scales as ms_ssim_scales
from ornstein.evaluation.images.ssim import ssim as ssim
