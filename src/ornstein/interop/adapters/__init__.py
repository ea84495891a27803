"""Small files that change a large model: LoRA and its kin, learned words, control networks, image prompts."""

from ornstein.interop.adapters.lora import Adapter, merge, read_adapter, restore, with_lora

__all__ = ["Adapter", "merge", "read_adapter", "restore", "with_lora"]
