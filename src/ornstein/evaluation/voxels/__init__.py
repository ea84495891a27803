"""Metrics of volumes."""

from ornstein.evaluation.voxels.grids import Grids as Grids
from ornstein.evaluation.voxels.iou import class_iou as class_iou
from ornstein.evaluation.voxels.iou import iou as iou
from ornstein.evaluation.voxels.table import VoxelSettings as VoxelSettings
from ornstein.evaluation.voxels.table import read_grids as read_grids
