"""Make docs/pictures/explain-words.png: which word made which pixels, in a small U-Net and a small DiT.

    python tools/word_pictures.py [--updates 400]

No model that reads text is small enough to be bundled, so two are trained here for a minute: on pictures of two shapes side
by side, told by three words, "disc and cross". The words are fixed vectors. Above, samples and what they were told; below, for
each word the attention that it was paid on the whole way from noise to picture.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.explain import heat, overlay
from ornstein.explain.walk import Walk
from ornstein.networks.dit import DiT
from ornstein.networks.layers.conditioning import TextCondition
from ornstein.networks.unet import UNet
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogNormalSigma
from ornstein.processes.gaussian import EDM
from ornstein.recipes.system import System
from ornstein.samplers import get, simulate
from ornstein.samplers.grids import get_grid

PATH = Path(__file__).parent.parent / "docs" / "pictures" / "explain-words.png"
SIDE = 12
SHAPES = ("disc", "square", "cross", "ring")
WORDS = (*SHAPES, "and")
WIDTH = len(WORDS) + 3
"""Of a word's vector: which word, and whether it is the first, second or third."""
SHOWN = (("disc", "and", "cross"), ("ring", "and", "square"), ("cross", "and", "ring"))


@cache
def drawn() -> Tensor:
    """Every shape at every place, uint8 ``[shapes, places, SIDE, SIDE]``."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    out = []
    for down, right in product((-1, 0, 1), repeat=2):
        v, u = y - (SIDE - 1) / 2 - down, x - (SIDE - 1) / 2 - right
        r = v**2 + u**2
        inside = {
            "disc": r < 13,
            "square": (u.abs() < 3.2) & (v.abs() < 3.2),
            "cross": ((u.abs() < 1) | (v.abs() < 1)) & (u.abs() < 4) & (v.abs() < 4),
            "ring": (r < 17) & (r > 6),
        }
        out.append(torch.stack([inside[name] for name in SHAPES]))
    return (255 * torch.stack(out, dim=1)).to(torch.uint8)


@cache
def told(words: tuple[str, ...]) -> Tensor:
    """``[3, WIDTH]``."""
    return torch.stack(
        [torch.eye(WIDTH)[WORDS.index(w)] + torch.eye(WIDTH)[len(WORDS) + i] for i, w in enumerate(words)]
    )


def batch(n: int, rng: Stream) -> Batch[Tensor]:
    """Pictures, uint8 ``[n, 1, SIDE, 2 SIDE]``, and their words."""
    which, where = (rng.uniform((n, 2)) * len(SHAPES)).long(), (rng.uniform((n, 2)) * 9).long()
    halves = drawn()[which, where]
    text = [told((SHAPES[left], "and", SHAPES[right])) for left, right in which.tolist()]
    return Batch(torch.cat([halves[:, 0], halves[:, 1]], dim=-1)[:, None], {"text": torch.stack(text)})


def trained(network: nn.Module, updates: int) -> Preconditioned:
    """Its denoiser, after so many updates on batches of 32."""
    process, rng = EDM(sigma_max=20.0), Stream(0)
    denoiser = Preconditioned(network, process, EDMScaling(), channels_last=True)
    objective = Denoising(denoiser, Scale(1.0), LogNormalSigma(process))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.0)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=updates)
    for step in range(updates):
        loss = objective(batch(32, rng), rng).value
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if step % 100 == 0:
            print(step, f"{loss.item():.4f}", flush=True)
    return denoiser.eval()


def followed(denoiser: Preconditioned, words: tuple[str, ...], seed: int) -> tuple[System, Walk]:
    """A system around the denoiser, and its way from noise to a picture of the words."""
    small = {"size": 16, "channels": 1, "widths": (8,), "blocks": 1}
    system = dataclasses.replace(
        ornstein.build("edm", settings=small), denoiser=denoiser, shape=(1, SIDE, 2 * SIDE), guidance=1.0
    )
    times = get_grid("karras")(denoiser.process, 18, denoiser.process.t_max, None)
    rng, cond = Rng([seed]), {"text": told(words)[None]}
    move = get("heun")(denoiser)
    with torch.no_grad():
        x = denoiser.process.prior((1, 1, SIDE, 2 * SIDE)).sample(rng)
        states = [x]
        simulate(move, x, times, rng, cond, lambda step: states.append(step.x))
    return system, Walk(times, torch.stack(states), cond, denoiser, [seed], {})


def main() -> None:
    """Train both, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=400)
    args = parser.parse_args()
    torch.manual_seed(0)
    text = (TextCondition("text", WIDTH),)
    networks: dict[str, Callable[[], nn.Module]] = {
        "U-Net": lambda: UNet(channels=1, widths=(16, 32), blocks=1, attention=(1,), head=16, conditions=text),
        "DiT": lambda: DiT(channels=1, patch=2, width=64, depth=3, head=32, conditions=text),
    }
    figure, axes = plt.subplots(4, 2 * len(SHOWN), figsize=(9, 4.4), layout="constrained")
    for half, (name, make) in enumerate(networks.items()):
        denoiser = trained(make(), args.updates)
        for k, words in enumerate(SHOWN):
            column = half * len(SHOWN) + k
            system, path = followed(denoiser, words, seed=k)
            found = heat(system, path)
            made = ((path.states[-1][0].clamp(-1, 1) + 1) * 127.5).to(torch.uint8)
            rows = [made.expand(3, -1, -1), *(overlay(made, found.maps[0, i]) for i in range(len(words)))]
            for row, (x, title) in enumerate(zip(rows, (" ".join(words), *words), strict=True)):
                axes[row, column].imshow(x.permute(1, 2, 0), interpolation="nearest")
                axes[row, column].set(xticks=[], yticks=[])
                axes[row, column].set_title(title if row else f"{name}: {title}", fontsize=8, pad=3)
    figure.savefig(PATH, dpi=90, pil_kwargs={"optimize": True})
    print(PATH)


if __name__ == "__main__":
    main()
