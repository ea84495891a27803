"""DiT's claims: blocks that start as the identity, and quality that follows the number of tokens at equal parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.data import Loader, open_data
from ornstein.networks.dit import DiT as Transformer
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.images.dit import DiT, dit
from ornstein.recipes.system import System
from ornstein.training.fit import Engine, fit

STEPS = 700
CHAIN = 200
IMAGES = 1000


def initial_change(seed: int) -> float:
    """How far an untrained stack of blocks moves its tokens: exactly 0 with gates of zero."""
    torch.manual_seed(seed)
    network = Transformer(channels=1, width=64, depth=3, head=32)
    tokens, emb = torch.randn(4, 16, 64), torch.randn(4, 64)
    with torch.no_grad():
        out = tokens
        for block in network.blocks:
            out = block(out, emb, None, None)
    return float((out - tokens).abs().max())


def train(patch: int, seed: int) -> System:
    """The recipe on digits of 8 x 8, with tokens of ``patch x patch`` pixels and 0.26 M parameters."""
    images = open_data("digits", size=8)
    config = DiT(
        size=8, channels=1, classes=images.classes, patch=patch, width=64, depth=3, head=32, chain=CHAIN,
        sampling_steps=CHAIN, batch=48, steps=STEPS, lr=2e-3, decay="cosine", decay_steps=STEPS, ema_half_life=5000,
        precision="fp32",
    )  # fmt: skip
    torch.manual_seed(seed)
    system = dit(config)
    engine = Engine(seed=seed, ema_half_life=config.ema_half_life)
    fit(system.modules, system.stages(Loader(images, config.batch, seed)), engine)
    return system


@torch.no_grad()
def noise_error(system: System, x_0: Tensor, cond: Cond, seed: int) -> float:
    """E |eps - eps_theta|^2 per pixel on held-out digits, t over the whole chain; predicting 0 scores 1."""
    t = expand((torch.arange(len(x_0)) % CHAIN + 1).double() / CHAIN, x_0)
    x_t = system.process.marginal(x_0, t).sample(Stream(seed))
    x_hat = system.denoiser(x_t, t, cond).mean
    return float(((system.process.eps(x_t, t, x_hat) - system.process.eps(x_t, t, x_0)) ** 2).mean())


def measure(seed: int) -> dict[str, float]:
    """The identity at the start; errors of models of 4 and 16 tokens, with and without the label."""
    found = {"initial_change": initial_change(seed)}
    held_out = open_data("digits", size=8, split="test")
    assert held_out.labels is not None  # the digits have labels
    x = Scale().encode(torch.from_numpy(held_out.x[:IMAGES]), Stream(seed))
    labels = {"label": torch.from_numpy(held_out.labels[:IMAGES])}
    for patch in (4, 2):
        system = train(patch, seed)
        tokens = (8 // patch) ** 2
        found[f"parameters_{tokens}_tokens"] = float(system.parameters())
        found[f"error_{tokens}_tokens"] = noise_error(system, x, labels, seed)
        found[f"error_{tokens}_tokens_no_label"] = noise_error(system, x, NO_COND, seed)
    return found


CHECK = Check(
    recipe="dit",
    paper="ImageNet 256 x 256: FID 2.27 (DiT-XL/2 with guidance); at equal parameters, smaller patches and with them more "
    "computation give lower FID",
    claim="blocks start as the identity; on digits of 8 x 8, trained equally long, tokens of 2 x 2 pixels predict the noise "
    "better than tokens of 4 x 4 at about equal parameters, both far better than nothing, and the label helps",
    conditions=(
        Condition("initial_change", "==", 0.0, "gates of zero: adaLN-Zero's definition, exact"),
        Condition(
            "error_16_tokens", "<", "error_4_tokens", "the paper's finding: quality follows the number of tokens"
        ),
        Condition(
            "error_4_tokens", "<", 1 / 3, "predicting 0 scores 1; three times better shows that structure was learned"
        ),
        Condition(
            "error_16_tokens",
            "<",
            "error_16_tokens_no_label",
            "the label says which strokes to expect: on average over the seeds it must help",
            on="mean",
        ),
    ),
    measure=measure,
)
