"""The transformers of Stable Diffusion 3 and Flux: their authors' layout and diffusers'.

The authors keep query, key and value in one matrix (Flux's single blocks the first half of the MLP as well), and in the
modulation before an output the shift comes first, where diffusers has the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.interop.files.rename import Names, Pairs, renamed

QKV = ("to_q", "to_k", "to_v")
ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_KINDS = ("weight", "bias")


@dataclass(frozen=True)
class Table:
    """How a transformer's tensors are called, joined and turned."""

    names: Names
    joined: Mapping[str, tuple[str, ...]]
    """module of the authors -> those of diffusers that it holds one below the other; three equal ones, and then the rest"""
    turned: Mapping[str, str]
    """module of the authors -> that of diffusers with the halves of its rows exchanged"""
    width: int
    """rows of each of the three"""

    def there(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """Authors' -> diffusers'; also the names that have no place.

        Raises:
            CheckpointError: a joined matrix has other rows than the network's width asks for.
        """
        rest = dict(tensors)
        out: dict[str, Tensor] = {}
        for kind in _KINDS:
            for module, parts in self.joined.items():
                if (value := rest.pop(f"{module}.{kind}", None)) is None:
                    continue
                last = len(value) - 3 * self.width
                if not (last > 0 if len(parts) > 3 else last == 0):
                    raise CheckpointError(f"{module}.{kind} has {len(value)} rows in a network of width {self.width}")
                sizes = [self.width] * 3 + [last] * (len(parts) - 3)
                pieces = value.split(sizes)
                out |= {f"{part}.{kind}": piece.clone() for part, piece in zip(parts, pieces, strict=True)}
            for module, part in self.turned.items():
                if (value := rest.pop(f"{module}.{kind}", None)) is not None:
                    out[f"{part}.{kind}"] = _exchanged(value)
        more, left = renamed(rest, self.names)
        return {**out, **more}, left

    def back(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """Diffusers' -> authors'; also the names that have no place."""
        rest = dict(tensors)
        out: dict[str, Tensor] = {}
        for kind in _KINDS:
            for module, parts in self.joined.items():
                if all(f"{part}.{kind}" in rest for part in parts):
                    out[f"{module}.{kind}"] = torch.cat([rest.pop(f"{part}.{kind}") for part in parts])
            for module, part in self.turned.items():
                if (value := rest.pop(f"{part}.{kind}", None)) is not None:
                    out[f"{module}.{kind}"] = _exchanged(value)
        more, left = renamed(rest, self.names, back=True)
        return {**out, **more}, left


def _exchanged(value: Tensor) -> Tensor:
    first, second = value.chunk(2)
    return torch.cat([second, first])


def count(names: Iterable[str], head: str) -> int:
    """How many blocks are called ``HEAD.0.``, ``HEAD.1.``, ..."""
    numbers = (n[len(head) + 1 :].split(".")[0] for n in names if n.startswith(f"{head}."))
    return 1 + max((int(n) for n in numbers if n.isdigit()), default=-1)


def sd3_table(layers: int, width: int) -> Table:
    """Of Stable Diffusion 3 and 3.5 (Esser et al. 2024, 2403.03206, the published code)."""
    pairs: Pairs = [
        ("pos_embed", "pos_embed.pos_embed"),
        ("x_embedder.proj", "pos_embed.proj"),
        ("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
        ("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
        ("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
        ("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
        ("context_embedder", "context_embedder"),
        ("final_layer.linear", "proj_out"),
    ]
    joined: dict[str, tuple[str, ...]] = {}
    turned = {"final_layer.adaLN_modulation.1": "norm_out.linear"}
    for i in range(layers):
        x, text, ours = f"joint_blocks.{i}.x_block", f"joint_blocks.{i}.context_block", f"transformer_blocks.{i}"
        for theirs, attention, parts in ((x, "attn", QKV), (text, "attn", ADDED), (x, "attn2", QKV)):
            joined[f"{theirs}.{attention}.qkv"] = tuple(f"{ours}.{attention}.{part}" for part in parts)
        pairs += [(f"{x}.attn.{a}", f"{ours}.attn.{b}") for a, b in _OUT]
        pairs += [(f"{x}.attn2.{a}", f"{ours}.attn2.{b}") for a, b in _OUT]
        pairs += [(f"{text}.attn.{a}", f"{ours}.attn.{b}") for a, b in _ADDED_OUT]
        for theirs, suffix in ((x, ""), (text, "_context")):
            pairs += [
                (f"{theirs}.mlp.fc1", f"{ours}.ff{suffix}.net.0.proj"),
                (f"{theirs}.mlp.fc2", f"{ours}.ff{suffix}.net.2"),
            ]
            modulation = f"{theirs}.adaLN_modulation.1", f"{ours}.norm1{suffix}.linear"
            if suffix and i == layers - 1:  # the text goes no further: its last modulation is that before an output
                turned[modulation[0]] = modulation[1]
            else:
                pairs.append(modulation)
    return Table(Names(pairs), joined, turned, width)


_OUT: Pairs = [("proj", "to_out.0"), ("ln_q", "norm_q"), ("ln_k", "norm_k")]
_ADDED_OUT: Pairs = [("proj", "to_add_out"), ("ln_q", "norm_added_q"), ("ln_k", "norm_added_k")]


def flux_table(double: int, single: int, width: int) -> Table:
    """Of Flux 1 (Black Forest Labs 2024, the published code)."""
    pairs: Pairs = [("img_in", "x_embedder"), ("txt_in", "context_embedder"), ("final_layer.linear", "proj_out")]
    for theirs, ours in (("time_in", "timestep"), ("vector_in", "text"), ("guidance_in", "guidance")):
        for a, b in (("in_layer", "linear_1"), ("out_layer", "linear_2")):
            pairs.append((f"{theirs}.{a}", f"time_text_embed.{ours}_embedder.{b}"))
    joined: dict[str, tuple[str, ...]] = {}
    for i in range(double):
        theirs, ours = f"double_blocks.{i}", f"transformer_blocks.{i}"
        for side, suffix, parts, out, norm in (
            ("img", "", QKV, "to_out.0", "norm"),
            ("txt", "_context", ADDED, "to_add_out", "norm_added"),
        ):
            joined[f"{theirs}.{side}_attn.qkv"] = tuple(f"{ours}.attn.{part}" for part in parts)
            pairs += [
                (f"{theirs}.{side}_mod.lin", f"{ours}.norm1{suffix}.linear"),
                (f"{theirs}.{side}_mlp.0", f"{ours}.ff{suffix}.net.0.proj"),
                (f"{theirs}.{side}_mlp.2", f"{ours}.ff{suffix}.net.2"),
                (f"{theirs}.{side}_attn.proj", f"{ours}.attn.{out}"),
                (f"{theirs}.{side}_attn.norm.query_norm.scale", f"{ours}.attn.{norm}_q.weight"),
                (f"{theirs}.{side}_attn.norm.key_norm.scale", f"{ours}.attn.{norm}_k.weight"),
            ]
    for i in range(single):
        theirs, ours = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
        joined[f"{theirs}.linear1"] = (*(f"{ours}.attn.{part}" for part in QKV), f"{ours}.proj_mlp")
        pairs += [
            (f"{theirs}.modulation.lin", f"{ours}.norm.linear"),
            (f"{theirs}.linear2", f"{ours}.proj_out"),
            (f"{theirs}.norm.query_norm.scale", f"{ours}.attn.norm_q.weight"),
            (f"{theirs}.norm.key_norm.scale", f"{ours}.attn.norm_k.weight"),
        ]
    return Table(Names(pairs), joined, {"final_layer.adaLN_modulation.1": "norm_out.linear"}, width)
