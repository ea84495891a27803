"""IP-Adapter: a picture as a prompt, in a second cross-attention beside that to the text.

attention(x) = softmax(q k^T) v + scale softmax(q k_ip^T) v_ip, with k_ip and v_ip of a few tokens that CLIP's reading of
the picture becomes: its vector, or of the kind "plus" its sequence. Ye et al. 2023, 2308.06721. The picture's encoder is
transformers' own class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError
from ornstein.guidance.negative import PREFIX
from ornstein.interop.adapters.beside import Beside, pictures, reader_of
from ornstein.interop.adapters.lora import base_of, shared
from ornstein.interop.adapters.resampler import Projection, Resampler, projection
from ornstein.interop.diffusers.pipelines.fitting import fitted
from ornstein.interop.diffusers.pipelines.networks import Network
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import Reader
from ornstein.interop.files.rename import within
from ornstein.interop.files.weights import read_file

ENCODER = "image_encoder"


def with_image_prompt(
    system: Pipeline, folder: str | Path, *, weights: str | None = None, scale: float = 1.0, name: str = "image_prompt"
) -> Pipeline:
    """A system that reads a picture as a prompt: ``sample(..., image_prompt=picture)``.

    Args:
        folder: with the adapter's ``.safetensors`` file, or that file; ``image_encoder/`` lies in it or beside it, as
            ``h94/IP-Adapter`` has it.
        weights: which file, where there are several.
        scale: of the attention to the picture.

    Raises:
        CheckpointError: parts are missing, or are another base's (both are named).
        CapabilityError: a kind of IP-Adapter that is not read.
    """
    reader = reader_of(system, "an IP-Adapter")
    folder = Path(folder)
    file = chosen(folder, weights)
    folder = file.parent
    tensors = read_file(file)
    place = next((p for p in (folder / ENCODER, folder.parent / ENCODER) if (p / "config.json").is_file()), None)
    if place is None:
        raise CheckpointError(f"{folder} has no {ENCODER}/: the encoder that the adapter's pictures go through")
    from transformers import CLIPVisionModelWithProjection

    encoder = fitted(CLIPVisionModelWithProjection, place)
    unet: Any = cast(Network, system.denoiser.network).model
    width = int(unet.config.cross_attention_dim)
    project = projection(within(tensors, "image_proj."), file)
    if project.width != width:
        raise CheckpointError(
            f"the IP-Adapter {file.name} was made for texts of width {project.width} and does not fit {base_of(system)}"
        )
    if project.inside != project.width_of(encoder):
        raise CheckpointError(
            f"the IP-Adapter {file.name} reads {project.inside} numbers of a picture, and the encoder in {place} gives "
            f"{project.width_of(encoder)}: it goes with another encoder"
        )
    made: Pipeline = shared(system)
    attach(made, within(tensors, "ip_adapter."), project.tokens, scale, file)
    assert made.prompts is not None and reader is system.prompts
    told = ImagePrompt(made.prompts, name, encoder, project).to(system.device)
    return replace(made, prompts=told, extra={**made.extra, "prompts": told})


def chosen(folder: Path, weights: str | None) -> Path:
    """The adapter's file in a folder."""
    if folder.is_file() and weights is None:
        return folder
    files = sorted(folder.glob("*.safetensors"))
    if weights is not None:
        files = [f for f in files if f.name == weights]
    if len(files) != 1:
        what = ", ".join(f.name for f in sorted(folder.glob("*.safetensors"))) or "no .safetensors file"
        raise CheckpointError(f"{folder} holds {what}; give the IP-Adapter's file by its name (weights=)")
    return files[0]


def attach(system: Pipeline, tensors: Mapping[str, Tensor], tokens: int, scale: float, file: Path) -> None:
    """Give every cross-attention of the U-Net its second one; the file numbers them 1, 3, 5, ..."""
    unet: Any = cast(Network, system.denoiser.network).model
    places = [n.removesuffix(".processor") for n in unet.attn_processors if not n.endswith("attn1.processor")]
    missing = []
    for i, name in enumerate(places):
        attention = unet.get_submodule(name)
        maps = [tensors.get(f"{2 * i + 1}.to_{x}_ip.weight") for x in "kv"]
        if any(m is None or m.shape != attention.to_k.weight.shape for m in maps):
            missing.append(f"{2 * i + 1} ({name})")
            continue
        attention.set_processor(TwoAttentions(maps[0], maps[1], tokens, scale))  # type: ignore[arg-type]
    if missing or len(tensors) != 2 * len(places):
        what = (
            f"lacks, or has of another shape, {', '.join(missing[:4])}" if missing else f"has {len(tensors) // 2} maps"
        )
        raise CheckpointError(
            f"the IP-Adapter {file.name} does not fit {base_of(system)}, which has {len(places)} cross-attentions: it {what}"
        )


@final
class TwoAttentions(nn.Module):
    """An attention to a text and to the last ``tokens`` of the sequence, which are the picture's."""

    def __init__(self, to_k: Tensor, to_v: Tensor, tokens: int, scale: float):
        super().__init__()
        self.to_k, self.to_v = nn.Parameter(to_k.float(), False), nn.Parameter(to_v.float(), False)
        self.tokens, self.scale = tokens, scale

    def forward(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """As diffusers calls it, for states ``[B, L, C]``."""
        assert encoder_hidden_states is not None
        text, image = encoder_hidden_states.split([encoder_hidden_states.shape[1] - self.tokens, self.tokens], 1)

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        q = heads(attn.to_q(hidden_states))
        out = F.scaled_dot_product_attention(q, heads(attn.to_k(text)), heads(attn.to_v(text)))
        k, v = F.linear(image, self.to_k.to(image)), F.linear(image, self.to_v.to(image))
        out = out + self.scale * F.scaled_dot_product_attention(q, heads(k), heads(v))
        return attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2))) / attn.rescale_output_factor


@final
class ImagePrompt(Beside):
    """The picture's tokens after the prompt's, those of no picture after the negative prompt's, or where none is given."""

    def __init__(self, inner: Reader, name: str, encoder: nn.Module, project: Projection | Resampler):
        super().__init__(inner, name)
        self.encoder, self.project = encoder, project

    @torch.no_grad()
    def add(self, n: int, value: Any, cond: dict[str, Tensor]) -> dict[str, Tensor]:
        nothing = self.project.nothing(self.encoder, n)
        seen = nothing if value is None else self.look(pictures(self.name, value, n, None))
        out = dict(cond)
        for key, what in (("text", seen), (PREFIX + "text", nothing)):
            if key in cond:
                out[key] = torch.cat([cond[key], self.project(what).to(cond[key])], 1)
        return out

    def look(self, x: Tensor) -> Tensor:
        """What CLIP says of pictures in [0, 1], resized and cropped as CLIP's own preparation does."""
        from transformers import CLIPImageProcessor

        encoder: Any = self.encoder
        side = int(encoder.config.image_size)
        prepare = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        bytes_ = list((x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
        pixels = prepare(images=bytes_, return_tensors="pt").pixel_values
        return self.project.look(encoder, pixels.to(next(encoder.parameters())))
