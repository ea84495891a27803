"""What a system does, in pictures and curves: trajectories, error at each noise level."""

from ornstein.explain.noise_levels import error_by_noise as error_by_noise
from ornstein.explain.trajectories import Trajectory as Trajectory
from ornstein.explain.trajectories import trajectory as trajectory
