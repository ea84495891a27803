"""A variational autoencoder: the baseline with a bound on the likelihood and a one-step decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ornstein.codecs.vae import GaussianVAE
from ornstein.core.errors import UsageError
from ornstein.networks.convolutional import ConvDecoder, ConvEncoder
from ornstein.objectives.evidence import EvidenceBound
from ornstein.objectives.followers import Counter
from ornstein.recipes.images.one_shot import OneShotConfig, one_shot
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.stage import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class BaselineVAE(OneShotConfig):
    """Sizes of the two networks, and the weight of the divergence."""

    latents: int = 32
    widths: tuple[int, ...] = (32, 64)
    """channels at each resolution, finest first, of decoder and encoder"""
    beta: float = 1.0
    """weight of the divergence; at other values than 1 the loss is no bound"""
    free: float = 0.0
    """nats per latent that are not paid for"""
    kl_warmup: int = 0
    """steps over which the weight rises from 0"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latents < 1:
            raise UsageError(f"latents must be at least 1, got {self.latents}")


@recipe(
    "baseline-vae",
    area="images",
    title="Auto-Encoding Variational Bayes (Kingma & Welling 2013)",
    paper="arxiv:1312.6114",
    claim="encoder and decoder trained together by the evidence bound; on linear-Gaussian data the bound is exact",
    equations="log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || N(0, I)), z = mu + sigma eps, "
    "p(x|z) = N(f(z), sigma_x^2 I) with sigma_x learned",
    bibtex="@inproceedings{kingma2014auto, title={Auto-Encoding Variational Bayes}, author={Kingma, Diederik P. and Welling, "
    "Max}, booktitle={ICLR}, year={2014}}",
)
def baseline_vae(c: BaselineVAE = BaselineVAE()) -> System:
    """The VAE; its samples are the decoder's means."""
    codec = GaussianVAE(
        ConvEncoder(channels=c.channels, size=c.size, out=2 * c.latents, widths=c.widths),
        ConvDecoder(width=c.latents, channels=c.channels, size=c.size, widths=c.widths),
    )
    calls = Counter()

    def training(system: System, data: Data) -> Iterator[Stage]:
        bound = EvidenceBound(codec, c.beta, c.free, c.kl_warmup, calls)
        yield Stage("bound", data, [Update(bound, list(codec.parameters()), c.optimizer())], c.steps)

    return one_shot("baseline-vae", c, codec, c.latents, training, {"calls": calls})
