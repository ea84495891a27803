"""Training on a checkpoint of the diffusers ecosystem: LoRA, DreamBooth, learned words, control networks."""

from ornstein.interop.tuning.controlnet import train_controlnet
from ornstein.interop.tuning.dreambooth import train_dreambooth
from ornstein.interop.tuning.lora import train_lora
from ornstein.interop.tuning.settings import Settings
from ornstein.interop.tuning.textual_inversion import train_textual_inversion

__all__ = ["Settings", "train_controlnet", "train_dreambooth", "train_lora", "train_textual_inversion"]
