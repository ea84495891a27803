"""What a system does, in pictures and curves: trajectories, attention, error by noise level, influence, copies."""

from ornstein.explain.attention import Attention as Attention
from ornstein.explain.attention import attended_from as attended_from
from ornstein.explain.attention import attention as attention
from ornstein.explain.attention import listening as listening
from ornstein.explain.attention import text_length as text_length
from ornstein.explain.attention import token_maps as token_maps
from ornstein.explain.curvature import Curvature as Curvature
from ornstein.explain.curvature import curvature as curvature
from ornstein.explain.heat import Heat as Heat
from ornstein.explain.heat import heat as heat
from ornstein.explain.heat import overlay as overlay
from ornstein.explain.influence import Counterfactual as Counterfactual
from ornstein.explain.influence import Influence as Influence
from ornstein.explain.influence import by_condition as by_condition
from ornstein.explain.influence import by_guidance as by_guidance
from ornstein.explain.influence import influence as influence
from ornstein.explain.neighbours import Neighbours as Neighbours
from ornstein.explain.neighbours import neighbours as neighbours
from ornstein.explain.noise_levels import error_by_noise as error_by_noise
from ornstein.explain.noise_levels import gradient_by_noise as gradient_by_noise
from ornstein.explain.trajectories import Trajectory as Trajectory
from ornstein.explain.trajectories import trajectory as trajectory
from ornstein.explain.walk import Walk as Walk
from ornstein.explain.walk import walk as walk
