r"""ImageBART: pictures as tokens of a codebook, a chain of a few steps, and each step back drawn token by token.

A step sees the whole noisier picture, and so, unlike plain autoregression in raster order, what lies below as well: holes
anywhere are filled without training for them (:func:`inpaint`). beta_n = 1/(T - n + 1) of the paper is keep = 1 - n/T.
Differences: the small autoencoder of this package's latent diffusion, small transformers, steps of one size for all scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.autoencoder import Summaries, VQAutoencoder
from ornstein.codecs.tokens import VQTokens
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Random, Rng
from ornstein.denoisers.token_by_token import TokenByToken
from ornstein.networks.autoencoder import PatchCritic
from ornstein.networks.encoder_decoder import EncoderDecoder
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.objectives.autoencoding import Spread
from ornstein.objectives.followers import Counter, Follower
from ornstein.objectives.token_chain import TokenChain
from ornstein.processes.categorical import CategoricalProcess, Corrupted
from ornstein.recipes.images.common import ImageConfig
from ornstein.recipes.images.latent_diffusion import LatentDiffusion, autoencoder_updates, encoded
from ornstein.recipes.images.perceptual import Perceptual
from ornstein.recipes.registry import recipe
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import Decay


@dataclass(frozen=True, kw_only=True)
class ImageBART(ImageConfig):
    """The autoencoder, the chain and its transformers."""

    codes: int = 256
    code_width: int = 4
    codec_widths: tuple[int, ...] = (32, 64, 64)
    """channels of encoder and decoder at each resolution, finest first; f = 2^(levels - 1)"""
    codec_blocks: int = 1
    codec_lr: float = 1e-3
    autoencoder_steps: int = 2000
    """of ``steps``; the rest are the chain's"""
    perceptual: Perceptual = "gradients"
    critic_start: int = 1000
    chain: int = 3
    """T, 3 to 5 in the paper; at 1 it is plain autoregression, since x_1 is noise"""
    target: Literal["hard", "soft"] = "hard"
    """a step learns the tokens that the forward path drew, or their law"""
    width: int = 128
    head: int = 32
    encoder_depth: int = 4
    decoder_depth: int = 2
    steps: int = 8000
    lr: float = 1e-3
    warmup: int = 200
    decay: Decay = "cosine"
    decay_steps: int = 6000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 1:
            raise UsageError(f"chain must be at least 1, got {self.chain}")
        if self.codes < 2:
            raise UsageError(f"codes must be at least 2, got {self.codes}")
        self.first_stage()

    def first_stage(self) -> LatentDiffusion:
        """The autoencoder's part of the config, as latent diffusion reads it."""
        return LatentDiffusion(
            size=self.size,
            channels=self.channels,
            batch=self.batch,
            warmup=self.warmup,
            ema_half_life=self.ema_half_life,
            precision=self.precision,
            regulariser="vq",
            rescale=False,
            latent_channels=self.code_width,
            codec_widths=self.codec_widths,
            codec_blocks=self.codec_blocks,
            codec_lr=self.codec_lr,
            codes=self.codes,
            perceptual=self.perceptual,
            critic_start=self.critic_start,
            autoencoder_steps=self.autoencoder_steps,
            steps=self.steps,
        )

    def chain_of(self, tokens: int, length: int) -> TokenByToken:
        """The steps on sequences of so many tokens, untrained."""
        label = ClassCondition("label", len(self.classes)) if self.classes else None
        scales = [
            EncoderDecoder(
                tokens,
                length,
                width=self.width,
                head=self.head,
                encoder=self.encoder_depth,
                decoder=self.decoder_depth,
                label=label,
            )
            for _ in range(self.chain)
        ]
        return TokenByToken(scales, CategoricalProcess.uniform(tokens))


@recipe(
    "imagebart",
    area="images",
    title="ImageBART: Bidirectional Context with Multinomial Diffusion for Autoregressive Image Synthesis (Esser et al. 2021)",
    paper="arxiv:2108.08827",
    claim="a few steps of multinomial diffusion, each inverted by an autoregressive transformer that sees the whole noisier "
    "picture, fill holes that raster-order autoregression cannot see past",
    equations="q(x_n | x_{n-1}) = (1 - beta_n) delta + beta_n / K, beta_n = 1/(T - n + 1); p(x_{n-1} | x_n) = prod_i "
    "p(x_{n-1}^i | x_{n-1}^{<i}, x_n); loss -log p(x_{n-1} | x_n)",
    bibtex="@inproceedings{esser2021imagebart, title={ImageBART: Bidirectional Context with Multinomial Diffusion for "
    'Autoregressive Image Synthesis}, author={Esser, Patrick and Rombach, Robin and Blattmann, Andreas and Ommer, Bj{\\"o}rn}, '
    "booktitle={NeurIPS}, year={2021}}",
)
def imagebart(c: ImageBART = ImageBART()) -> System:
    """The ImageBART system."""
    first = c.first_stage()
    autoencoder = first.autoencoder()
    assert isinstance(autoencoder, VQAutoencoder)
    codec = VQTokens(autoencoder, c.size)
    denoiser = c.chain_of(c.codes, codec.side**2)
    critic = PatchCritic(channels=c.channels, width=first.critic_width, layers=first.critic_layers)
    spread, calls, average = Spread(), Counter(), Follower(autoencoder)

    def training(system: System, data: Data) -> Iterator[Stage]:
        updates = autoencoder_updates(first, autoencoder, critic, spread, calls, average)
        yield Stage("autoencoder", data, updates, c.autoencoder_steps)
        autoencoder.load_state_dict(average.copy.state_dict())
        stream, reader = encoded(first, autoencoder, data)
        tokens = VQTokens(autoencoder, c.size, summaries=isinstance(reader, Summaries))
        objective = TokenChain(denoiser, tokens, c.target, c.cond_dropout)
        objective.autocast = c.autocast
        update = Update(objective, list(denoiser.parameters()), c.optimizer())
        yield Stage("chain", stream, [update], c.steps - c.autoencoder_steps)

    return System(
        recipe="imagebart",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=(codec.side**2,),
        data_shape=c.shape,
        training=training,
        sampler=get("autoregressive"),
        steps=c.chain,
        grid="even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
        extra={"critic": critic, "spread": spread, "calls": calls, "average": average},
    )


@torch.no_grad()
def refilled(
    chain: TokenByToken, x_0: Tensor, known: Tensor, rng: Random, cond: dict[str, Tensor] | None = None
) -> Tensor:
    """Tokens ``[B, L]`` whose places that are not ``known`` (``[L]`` or ``[B, L]`` bool) are drawn anew, T steps down the chain.

    Known tokens take their forward path, x_0^i .. x_T^i, and each reverse step is drawn around them: later tokens see them by
    the decoder, earlier ones by the encoder. No training with masks. Esser et al. 2021, section 4.4.
    """
    process, steps = chain.process, chain.steps
    path = [x_0]
    for n in range(1, steps + 1):
        s, t = (torch.tensor(k / steps, dtype=torch.float64) for k in (n - 1, n))
        path.append(Corrupted(path[-1], process.keep(t) / process.keep(s), process.limit).sample(rng))
    # What lies in the hole must not matter; at T all tokens are uniform, so a path from anywhere would do.
    x = torch.where(known, path[-1], process.prior(x_0.shape).sample(rng))
    for n in range(steps, 0, -1):
        law = chain.law(x, torch.full((len(x),), n), cond or {})
        x = law.complete(rng, path[n - 1], known)
    return x


@torch.no_grad()
def inpaint(
    system: System,
    pictures: Tensor,
    known: Tensor,
    *,
    seed: int = 0,
    label: str | int | Sequence[str | int] | None = None,
) -> Samples:
    """Fill what is hidden of pictures ``[n, C, H, W]`` (bytes or floats in [-1, 1]): one draw each, of seeds seed, seed + 1, ..

    Args:
        system: of this recipe.
        known: ``[H, W]``, 1 at pixels that are known and 0 in the hole. A token is known where all its pixels are.
        label: as in :meth:`System.sample`; none by default.

    Raises:
        UsageError: a system of another recipe.
        DataError: pictures or a mask that do not fit, a mask that is not binary or hides nothing.
    """
    chain, codec = system.denoiser, system.codec
    if not isinstance(chain, TokenByToken) or not isinstance(codec, VQTokens):
        raise UsageError(f"'{system.recipe}' is no chain of tokens; ornstein.restore fills holes with other systems")
    if pictures.ndim != 4 or tuple(pictures.shape[1:]) != system.data_shape:
        raise DataError(f"pictures are [n, {', '.join(map(str, system.data_shape))}], got {tuple(pictures.shape)}")
    if tuple(known.shape) != system.data_shape[1:]:
        raise DataError(f"the mask is {tuple(known.shape)}, the pictures are {system.data_shape[1:]}")
    if not bool(((known == 0) | (known == 1)).all()):
        raise DataError("the mask is 1 at known pixels and 0 in the hole; this one holds other values")
    if bool((known == 1).all()):
        raise DataError("the mask hides nothing: there is nothing to fill")
    keep = -F.max_pool2d(-known.float()[None, None], system.data_shape[1] // codec.side).flatten() > 0.5
    system.modules.eval()
    seeds = list(range(seed, seed + len(pictures)))
    rng = Rng(seeds)
    given: dict[str, Any] = {"label": -1 if label is None else label} if system.classes else {}
    cond = system.conditions(seeds, given)
    tokens = refilled(chain, codec.encode(pictures, rng), keep, rng, cond)
    about = {"inpainted": True, "known_tokens": int(keep.sum()), "seed": seed}
    return Samples(codec.decode(tokens), seeds, cond, system.classes, system.provenance(about))
