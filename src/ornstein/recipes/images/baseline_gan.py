"""A generative adversarial network: the one-step baseline. DCGAN's networks, the non-saturating loss, R1 on data.

Critic and generator are two players with an optimiser each, in turn on every batch; the averaged generator is what samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ornstein.codecs.generator import Generator
from ornstein.core.errors import UsageError
from ornstein.networks.convolutional import ConvDecoder, ConvEncoder, small_normal
from ornstein.objectives.adversarial import Criticising, Generating, Rule
from ornstein.objectives.followers import Counter
from ornstein.recipes.images.one_shot import OneShotConfig, one_shot
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.optim import OptimizerSpec
from ornstein.training.stage import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class BaselineGAN(OneShotConfig):
    """Sizes of the two networks, the loss and its penalty."""

    latents: int = 64
    widths: tuple[int, ...] = (64, 128)
    """channels at each resolution, finest first; the coarsest image is the size halved so many times"""
    critic_widths: tuple[int, ...] = (64, 128)
    rule: Rule = "non_saturating"
    gamma: float = 0.1
    """of the penalty on the critic's slope at data (R1); 0 is none"""
    penalty_every: int = 4
    lr: float = 2e-4
    warmup: int = 0
    clip: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latents < 1:
            raise UsageError(f"latents must be at least 1, got {self.latents}")

    def optimizer(self) -> OptimizerSpec:
        """Adam (0.5, 0.999), as Radford et al. 2015."""
        return OptimizerSpec(
            lr=self.lr,
            betas=(0.5, 0.999),
            warmup=self.warmup,
            decay=self.decay,
            decay_steps=self.decay_steps,
            clip=self.clip or None,
        )


@recipe(
    "baseline-gan",
    area="images",
    title="Generative Adversarial Networks: DCGAN with R1 (Goodfellow et al. 2014; Radford et al. 2015; Mescheder et al. 2018)",
    paper="arxiv:1406.2661",
    claim="a generator trained against a critic samples in a single call; at the optimum the critic is log p_data/p_draws",
    equations="critic: E softplus(-D(x)) + E softplus(D(G(z))) + (gamma/2) E |grad D(x)|^2; generator: E softplus(-D(G(z)))",
    bibtex="@inproceedings{goodfellow2014generative, title={Generative Adversarial Nets}, author={Goodfellow, Ian and "
    "Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and Warde-Farley, David and Ozair, Sherjil and Courville, Aaron and "
    "Bengio, Yoshua}, booktitle={NeurIPS}, year={2014}}",
)
def baseline_gan(c: BaselineGAN = BaselineGAN()) -> System:
    """The GAN."""
    generator = ConvDecoder(width=c.latents, channels=c.channels, size=c.size, widths=c.widths, normalise=True)
    critic: nn.Module = ConvEncoder(
        channels=c.channels, size=c.size, out=1, widths=c.critic_widths, activation="leaky_relu"
    )
    for network in (generator, critic):
        small_normal(network)
    codec, calls = Generator(generator, c.latents), Counter()

    def training(system: System, data: Data) -> Iterator[Stage]:
        criticising = Criticising(critic, codec, c.latents, c.rule, c.gamma, c.penalty_every, calls)
        updates = [
            Update(criticising, list(critic.parameters()), c.optimizer()),
            Update(Generating(critic, codec, c.latents, c.rule), list(codec.parameters()), c.optimizer()),
        ]
        yield Stage("adversarial", data, updates, c.steps)

    return one_shot("baseline-gan", c, codec, c.latents, training, {"critic": critic, "calls": calls})
