r"""Latent diffusion: an autoencoder made of pictures a few latents, and the diffusion runs in these.

Three stages: the autoencoder against its critic; all pictures encoded once, into the cache; the denoiser on draws of what
was cached. Classes and captions reach the network by cross-attention, as tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ornstein.codecs.autoencoder import Autoencoder, KLAutoencoder, Summaries, VQAutoencoder
from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.data import Loader
from ornstein.data.dataset import Table as DataTable
from ornstein.data.encoded import encode_once
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.networks.autoencoder import Decoder, Encoder, PatchCritic
from ornstein.networks.layers.conditioning import ClassCondition, TextCondition, VectorCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.tokens import Tokens
from ornstein.networks.unet import UNet
from ornstein.objectives.autoencoding import Autoencoding, PatchCriticising, Spread
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.followers import Averaged, Counter, Follower
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import ImageConfig
from ornstein.recipes.images.perceptual import Perceptual, perceptual
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.optim import Decay, OptimizerSpec
from ornstein.training.stage import Data, Stage, Update

MEASURED = 4096
"""Pictures whose latents set the scale."""


@dataclass(frozen=True, kw_only=True)
class LatentDiffusion(ImageConfig):
    """The autoencoder, its losses, the chain and the latents' network."""

    regulariser: Literal["kl", "vq"] = "kl"
    latent_channels: int = 4
    codec_widths: tuple[int, ...] = (32, 64, 64)
    """channels of encoder and decoder at each resolution, finest first; f = 2^(levels - 1)"""
    codec_blocks: int = 1
    codec_lr: float = 1e-3
    autoencoder_steps: int = 2000
    """of ``steps``; the rest are the latents'"""
    kl_weight: float = 1e-6
    """on a sum over latents, beside sums over pixels"""
    codes: int = 512
    commitment: float = 0.25
    perceptual: Perceptual = "gradients"
    perceptual_weight: float = 1.0
    critic_width: int = 32
    critic_layers: int = 2
    critic_weight: float = 0.5
    critic_start: int = 1000
    """steps of the autoencoder before its critic counts"""
    rescale: bool = True
    """bring latents of a KL autoencoder to unit standard deviation"""
    architecture: Literal["mp_unet", "unet"] = "mp_unet"
    """of the latents' network: EDM2's, or the paper's with transformer blocks where there are conditions"""
    widths: tuple[int, ...] = (64, 128)
    blocks: int = 2
    attention: tuple[int, ...] = (0,)
    """indices of ``widths`` that attend to themselves and to the tokens"""
    head: int = 32
    token_width: int = 128
    dropout: float = 0.0
    chain: int = 1000
    beta_1: float = 0.0015
    beta_T: float = 0.0195
    sampling_steps: int = 50
    guidance: float = 1.0
    steps: int = 6000
    lr: float = 4e-3
    decay: Decay = "inverse_sqrt"
    decay_steps: int = 2000
    warmup: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent_channels", "codec_blocks", "autoencoder_steps", "token_width"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.size % self.factor:
            raise UsageError(
                f"size {self.size} does not divide by {self.factor}, the factor of {len(self.codec_widths)} codec_widths: choose "
                "another size, or fewer widths"
            )
        if self.autoencoder_steps >= self.steps:
            raise UsageError(
                f"autoencoder_steps ({self.autoencoder_steps}) must be fewer than steps ({self.steps}): the rest train the "
                "latents' network"
            )

    @property
    def factor(self) -> int:
        """f: pixels per latent along a side."""
        return 2 ** (len(self.codec_widths) - 1)

    def autoencoder(self) -> Autoencoder:
        """Untrained."""
        z = self.latent_channels
        sizes: dict[str, Any] = {"channels": self.channels, "widths": self.codec_widths, "blocks": self.codec_blocks}
        decoder = Decoder(latents=z, **sizes)
        if self.regulariser == "kl":
            return KLAutoencoder(Encoder(out=2 * z, **sizes), decoder, self.factor)
        return VQAutoencoder(Encoder(out=z, **sizes), decoder, self.factor, self.codes, z, self.commitment)

    def network(self) -> nn.Module:
        """The latents' network, untrained."""
        told: tuple[ClassCondition | VectorCondition, ...] = ()
        if self.classes:
            told += (ClassCondition("label", len(self.classes)),)
        if self.caption_width:
            told += (VectorCondition("caption", self.caption_width),)
        reads: tuple[TextCondition, ...] = (Tokens.condition(self.token_width),) if told else ()
        sizes: dict[str, Any] = {
            "channels": self.latent_channels,
            "widths": self.widths,
            "blocks": self.blocks,
            "attention": self.attention,
            "head": self.head,
            "conditions": reads,
            "dropout": self.dropout,
        }
        if self.architecture == "mp_unet":
            network: nn.Module = MPUNet(bandwidth=1 / 250, **sizes)
        else:
            network = UNet(
                resample="conv", modulation="shift", transformer=bool(told), text_width=self.token_width, **sizes
            )
        return Tokens(network, told, self.token_width) if told else network


@recipe(
    "latent-diffusion",
    area="images",
    title="High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al. 2022)",
    paper="arxiv:2112.10752",
    claim="diffusion in the latents of a perceptual autoencoder costs a fraction of diffusion in pixels and loses no quality",
    equations="autoencoder: sum (|x - x^| + P)/e^s + s + w R + d g, d = w_g |grad L_rec|/|grad g|; latents z/std(z); "
    "loss |eps - eps_theta(z_t, t, tau(y))|^2, softmax(Q K^T/sqrt(d)) V with Q = W z, K, V = W tau(y)",
    bibtex="@inproceedings{rombach2022high, title={High-Resolution Image Synthesis with Latent Diffusion Models}, "
    'author={Rombach, Robin and Blattmann, Andreas and Lorenz, Dominik and Esser, Patrick and Ommer, Bj{\\"o}rn}, '
    "booktitle={CVPR}, year={2022}}",
)
def latent_diffusion(c: LatentDiffusion = LatentDiffusion()) -> System:
    """The latent diffusion system."""
    process = VP(Table.scaled_linear(c.chain, c.beta_1, c.beta_T), t_min=1 / c.chain)
    codec = c.autoencoder()
    denoiser = Preconditioned(c.network(), process, Eps(), channels_last=True)
    critic = PatchCritic(channels=c.channels, width=c.critic_width, layers=c.critic_layers)
    spread, calls, average = Spread(), Counter(), Follower(codec)

    def training(system: System, data: Data) -> Iterator[Stage]:
        yield Stage(
            "autoencoder", data, autoencoder_updates(c, codec, critic, spread, calls, average), c.autoencoder_steps
        )
        codec.load_state_dict(average.copy.state_dict())
        stream, latents = encoded(c, codec, data)
        denoiser.autocast = c.autocast
        objective = Denoising(denoiser, latents, DiscreteTimes(c.chain), cond_dropout=c.cond_dropout)
        update = Update(objective, list(denoiser.parameters()), c.optimizer())
        yield Stage("latents", stream, [update], c.steps - c.autoencoder_steps)

    return System(
        recipe="latent-diffusion",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=(c.latent_channels, c.size // c.factor, c.size // c.factor),
        data_shape=c.shape,
        training=training,
        sampler=get("ddim"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        ema_half_life=c.ema_half_life,
        extra={"critic": critic, "spread": spread, "calls": calls, "average": average},
    )


def autoencoder_updates(
    c: LatentDiffusion,
    codec: Autoencoder,
    critic: nn.Module,
    spread: Spread,
    calls: Counter,
    average: Follower[Autoencoder],
) -> list[Update]:
    """The two players of the first stage; ``average`` follows the autoencoder."""
    autoencoding = Autoencoding(
        codec,
        spread,
        critic,
        perceptual(c.perceptual),
        calls=calls,
        regulariser_weight=c.kl_weight if c.regulariser == "kl" else 1.0,
        perceptual_weight=c.perceptual_weight,
        critic_weight=c.critic_weight,
        start=c.critic_start,
        autocast=c.autocast,
    )
    adam = OptimizerSpec(lr=c.codec_lr, betas=(0.5, 0.9), warmup=c.warmup, clip=None)
    return [
        Update(Averaged(autoencoding, average, codec, c.ema_half_life), [*codec.parameters(), spread.log], adam),
        Update(PatchCriticising(autoencoding), list(critic.parameters()), adam),
    ]


@torch.no_grad()
def encoded(c: LatentDiffusion, codec: Autoencoder, data: Data) -> tuple[Data, Codec]:
    """The stream of the latents' stage and the codec that reads it, with the latents' scale set.

    Data of a table are encoded once, into the cache, without mirroring. A stream that has none (shards) is encoded as it
    comes, and a first batch sets the scale.
    """
    table = getattr(data, "images", None)
    codec.eval()
    try:
        if not isinstance(data, Loader) or not isinstance(table, DataTable):
            before = data.state()
            x = next(iter(data)).x.to(codec.scale.device)
            data.restore(before)
            summary = codec.summary(codec.floats(x, Rng([])))
            stream: Data = data
            reader: Codec = codec
        else:

            def encode(batch: Batch[Any]) -> Tensor:
                return codec.summary(codec.floats(batch.x.to(codec.scale.device), Rng([])))

            about = {"name": f"latent-diffusion {c.regulariser}", "weights": weights_hash(codec)}
            latents = encode_once(table, encode, about)
            stream = Loader(latents, data.batch, data.seed, rank=data.rank, world=data.world, workers=data.workers)
            rows = torch.linspace(0, len(latents) - 1, min(MEASURED, len(latents))).long()
            summary, reader = latents[rows.numpy()].x, Summaries(codec)
    finally:
        codec.train()
    if c.rescale and c.regulariser == "kl":  # the paper's VQ latents are left as they are
        codec.set_scale(summary)
    return stream, reader


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all parameters; two encoders of one hash make the same latents."""
    digest = hashlib.sha256()
    for name, value in sorted(module.named_parameters()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
