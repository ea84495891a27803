"""Metrics of point clouds: distances of pairs, and of sets by the distances between their members."""

from ornstein.evaluation.points.clouds import Clouds as Clouds
from ornstein.evaluation.points.distances import chamfer as chamfer
from ornstein.evaluation.points.distances import earth_mover as earth_mover
from ornstein.evaluation.points.files import read_clouds as read_clouds
from ornstein.evaluation.points.occupancy import jensen_shannon as jensen_shannon
from ornstein.evaluation.points.occupancy import occupancy as occupancy
from ornstein.evaluation.points.sets import coverage as coverage
from ornstein.evaluation.points.sets import matrix as matrix
from ornstein.evaluation.points.sets import minimum_matching as minimum_matching
from ornstein.evaluation.points.sets import one_nearest as one_nearest
from ornstein.evaluation.points.settings import PointSettings as PointSettings
