"""Networks: ``(x, t, cond) -> tensor``. They know nothing of noise; what their output means is a parametrisation's matter."""

from ornstein.networks.dit import DiT as DiT
from ornstein.networks.layers.conditioning import ClassCondition as ClassCondition
from ornstein.networks.layers.conditioning import Condition as Condition
from ornstein.networks.layers.conditioning import ImageCondition as ImageCondition
from ornstein.networks.layers.conditioning import TextCondition as TextCondition
from ornstein.networks.layers.conditioning import VectorCondition as VectorCondition
from ornstein.networks.mlp import MLP as MLP
from ornstein.networks.mp_unet import MPUNet as MPUNet
from ornstein.networks.unet import UNet as UNet
