"""The sizes that papers used, by recipe: ``ornstein train ddpm --preset cifar10``.

They are kept apart from the recipes, so that a further size does not make a measured row old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ornstein.core.errors import UsageError, unknown


@dataclass(frozen=True)
class Preset:
    """Fields of a recipe's config, and how many parameters the paper counts."""

    settings: Mapping[str, Any]
    source: str
    """where the paper says so"""
    parameters: float | None = None
    """as published, of the trained network; None where the paper gives no number"""
    tolerance: float = 0.01
    """relative, for numbers that are published in round figures"""
    reduced: Mapping[str, Any] = field(default_factory=dict)
    """further fields for the test that trains two steps: a lower resolution, a small batch"""


_CIFAR = {"size": 32, "channels": 3, "batch": 128, "patch": 1, "flip": True, "warmup": 5000, "decay": "constant"}
_LATENTS: dict[str, Any] = {"size": 32, "channels": 4, "classes": tuple(str(i) for i in range(1000)), "patch": 2}
_DIT: dict[str, Any] = _LATENTS | {"batch": 256, "lr": 1e-4, "warmup": 0, "clip": 0.0, "ema_half_life": 1_774_000}
_REDUCED_DIT = {"size": 8, "channels": 3, "batch": 2, "depth": 2}
_REDUCED = {"size": 8, "batch": 2}
_LDM: dict[str, Any] = {
    "size": 256, "channels": 3, "regulariser": "vq", "latent_channels": 3, "codec_widths": (128, 256, 512), "codec_blocks": 2,
    "codes": 8192, "codec_lr": 3.6e-5, "critic_width": 64, "critic_layers": 3, "critic_start": 50_001, "critic_weight": 0.5,
    "architecture": "unet", "blocks": 2, "attention": (1, 2, 3), "head": 32, "warmup": 0, "decay": "constant", "clip": 0.0,
    "ema_half_life": 333_000, "precision": "fp32",
}  # fmt: skip
_REDUCED_LDM: dict[str, Any] = {
    "size": 32, "batch": 2, "autoencoder_steps": 1, "critic_start": 0, "codec_widths": (32, 32, 64), "codes": 16,
    "widths": (32, 32, 64, 64), "critic_width": 8,
}  # fmt: skip

_TOLD: dict[str, Any] = {"channels": 3, "patch": 1, "decay": "constant", "clip": 0.0, "precision": "fp32", "flip": True}
_REDUCED_TOLD: dict[str, Any] = {"size": 8, "batch": 2, "widths": (8, 16), "attention": (), "blocks": 1}

PRESETS: dict[str, dict[str, Preset]] = {
    "ddpm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "sampling_steps": 1000}
            | {"variance": "large", "ema_half_life": 887_000, "precision": "fp32", "sigma_data": 0.0},
            "Ho et al. 2020, appendix B",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "ddim": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "ema_half_life": 887_000}
            | {"sigma_data": 0.0},
            "Song et al. 2021, appendix D.1: the network of DDPM",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "analytic-dpm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "ema_half_life": 887_000}
            | {"variance": "large", "precision": "fp32", "sigma_data": 0.0, "measuring": 0.0005, "pixels": 2.0},
            "Bao et al. 2022, appendix F: DDPM's network and 50,000 images for Gamma; the last noise bounded by 2 pixels",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "extended-analytic-dpm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "ema_half_life": 887_000}
            | {
                "variance": "large",
                "precision": "fp32",
                "sigma_data": 0.0,
                "head_lr": 1e-4,
                "head_width": 128,
                "pixels": 2.0,
            },
            "Bao et al. 2022, 2206.07309, appendix: DDPM's network; the head is a small U-Net in place of their residual block",
            reduced=_REDUCED | {"head_width": 32},
        ),
    },
    "adversarial-score-matching": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.0, "lr": 1e-4, "steps": 300_000, "precision": "fp32"}
            | {"sigma_max": 100.0, "levels": 232, "discriminator": (128, 256, 512)},
            "Jolicoeur-Martineau et al. 2020, appendix (sigma 50 to 0.01 on [0, 1]); a plain discriminator in place of BigGAN's",
            reduced=_REDUCED | {"discriminator": (16, 32)},
        ),
    },
    "pds": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 1_300_000}
            | {"ema_half_life": 887_000, "sampling_steps": 200},
            "Ma et al. 2022: the NCSN++ of Song et al. 2021 under the VE process, nothing trained anew",
            reduced=_REDUCED,
        ),
    },
    "improved-ddpm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "iddpm_cifar10", "dropout": 0.3, "lr": 1e-4, "steps": 500_000, "warmup": 0}
            | {"chain": 4000, "sampling_steps": 4000, "ema_half_life": 887_000, "precision": "fp32", "clip": 0.0},
            "Nichol & Dhariwal 2021, appendix A; the number of parameters is that of the released network",
            52.5e6,
            reduced=_REDUCED,
        ),
    },
    "loss-weighting": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "ema_half_life": 887_000},
            "The network of DDPM: Hang et al. 2023 and Choi et al. 2022 weight the losses of existing networks",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "zero-terminal-snr": {
        "cifar10": Preset(
            _CIFAR | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 400_000},
            "The network of DDPM: Lin et al. 2023 tune a latent model, whose table this recipe has",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "likelihood-weighting": {
        "cifar10": Preset(
            _CIFAR
            | {
                "architecture": "ddpmpp_cifar10",
                "dropout": 0.1,
                "lr": 2e-4,
                "steps": 1_300_000,
                "ema_half_life": 887_000,
            },
            "Song et al. 2021, section 7: DDPM++ as re-stated by Karras et al. 2022",
            55.7e6,
            reduced=_REDUCED,
        ),
    },
    "dit": {
        "imagenet256-s": Preset(
            _DIT | {"width": 384, "depth": 12, "head": 64, "steps": 400_000},
            "Peebles & Xie 2023, table 1, DiT-S on latents of 32 x 32 x 4",
            33e6,
            reduced=_REDUCED_DIT,
        ),
        "imagenet256-xl": Preset(
            _DIT | {"width": 1152, "depth": 28, "head": 72, "steps": 7_000_000},
            "Peebles & Xie 2023, table 1, DiT-XL on latents of 32 x 32 x 4",
            675e6,
            reduced=_REDUCED_DIT | {"width": 144},
        ),
    },
    "vdm": {
        "cifar10": Preset(
            _CIFAR
            | {"widths": (128,), "blocks": 32, "dropout": 0.1, "lr": 2e-4, "steps": 10_000_000, "schedule_width": 1024}
            | {"ema_half_life": 887_000, "sampling_steps": 1000, "precision": "fp32"},
            "Kingma et al. 2021, appendix B: 32 levels of 128 channels without down-sampling; blocks of another family here",
            reduced=_REDUCED | {"blocks": 2},
        ),
    },
    "edm2": {
        "imagenet512-xs": Preset(
            _LATENTS
            | {"size": 64, "patch": 1, "widths": (128, 256, 384, 512), "blocks": 3, "attention": (2, 3), "batch": 2048}
            | {"lr": 1.2e-2, "decay_steps": 70_000, "steps": 1_048_576, "clip": 0.0, "warmup": 4883},
            "Karras et al. 2024, table 2, EDM2-XS on latents of 64 x 64 x 4",
            125e6,
            reduced={"size": 8, "channels": 3, "batch": 2, "widths": (32, 64, 64, 64)},
        ),
    },
    "progressive-distillation": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.2, "lr": 2e-4, "steps": 1_200_000, "teacher_steps": 8192}
            | {"final_steps": 1, "ema_half_life": 887_000, "distilling": 0.67},
            "Salimans & Ho 2022, appendix: 8192 steps down to 1; the network is DDPM's, theirs is twice as wide",
            reduced=_REDUCED | {"teacher_steps": 2},
        ),
    },
    "ncsn": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.0, "lr": 1e-3, "steps": 200_000, "precision": "fp32"},
            "Song & Ermon 2019, section 5: L = 10, T = 100; the network is NCSN++ in place of their RefineNet",
            reduced=_REDUCED,
        ),
    },
    "heavy-tailed-dsm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.0, "lr": 1e-4, "steps": 300_000, "precision": "fp32"}
            | {"sigma_max": 100.0, "sampling_steps": 232},
            "Deasy et al. 2021, on the levels of NCSNv2 (sigma 50 to 0.01 on [0, 1]); NCSN++ in place of the RefineNet",
            reduced=_REDUCED,
        ),
    },
    "baseline-gan": {
        "lsun64": Preset(
            {"size": 64, "channels": 3, "batch": 128, "latents": 100, "widths": (128, 256, 512, 1024), "lr": 2e-4}
            | {"critic_widths": (128, 256, 512, 1024)},
            "Radford et al. 2015, figure 1 and section 4: bedrooms; the critic's normalisation gives way to the penalty R1",
            reduced={"size": 16, "batch": 4, "widths": (8, 16), "critic_widths": (8, 16)},
        ),
    },
    "baseline-flow": {
        "cifar10": Preset(
            {"size": 32, "channels": 3, "batch": 512, "scales": 3, "depth": 32, "width": 512, "lr": 1e-3},
            "Kingma & Dhariwal 2018, appendix: three levels of 32 steps, 512 channels in a coupling; counted by Ho et al. 2019",
            44.0e6,
            reduced={"size": 8, "batch": 4, "depth": 2, "width": 16},
        ),
    },
    "ncsnv2": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.0, "lr": 1e-4, "steps": 300_000, "precision": "fp32"}
            | {"sigma_max": 100.0, "levels": 232},
            "Song & Ermon 2020, appendix B (sigma 50 to 0.01 on [0, 1]); the network is NCSN++ in place of their RefineNet",
            reduced=_REDUCED,
        ),
    },
    "score-sde": {
        "cifar10": Preset(
            _CIFAR
            | {
                "architecture": "ddpmpp_cifar10",
                "dropout": 0.1,
                "lr": 2e-4,
                "steps": 1_300_000,
                "ema_half_life": 887_000,
            }
            | {"sampling_steps": 1000},
            "Song et al. 2021, appendix H: DDPM++ as re-stated by Karras et al. 2022",
            55.7e6,
            reduced=_REDUCED,
        ),
    },
    "edm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpmpp_cifar10", "dropout": 0.13, "lr": 1e-3, "batch": 512, "steps": 400_000}
            | {"ema_half_life": 500_000, "augment": 0.12, "flip": False},  # the augmentation mirrors, and tells
            "Karras et al. 2022, table 7, the column of CIFAR-10, DDPM++",
            55.7e6,
            reduced=_REDUCED,
        ),
    },
    "flow-matching": {
        "cifar10": Preset(
            _CIFAR | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 400_000},
            "Tong et al. 2024, appendix E: the network of DDPM on CIFAR-10",
            35.7e6,
            reduced=_REDUCED,
        ),
    },
    "analog-bits": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.3, "lr": 1e-4, "steps": 1_500_000, "ema_half_life": 887_000}
            | {"bits": 8, "sampling_steps": 100},
            "Chen et al. 2023, appendix D: three levels of 256 channels with three blocks each",
            reduced=_REDUCED,
        ),
    },
    "sohl-dickstein": {
        "cifar10": Preset(
            _CIFAR
            | {"multiscale": True, "chain": 1000, "sampling_steps": 1000, "first_step": "fixed", "precision": "fp32"}
            | {"batch": 512, "lr": 1e-3, "warmup": 0, "flip": False, "clip": 0.0},
            "Sohl-Dickstein et al. 2015, appendix D.2, and the released code for its sizes; Adam in place of SFO",
            reduced=_REDUCED,
        ),
    },
    "cld": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 800_000, "ema_half_life": 887_000}
            | {"sampling_steps": 2000, "precision": "fp32"},
            "Dockhorn et al. 2022, appendix E: NCSN++ that reads positions and velocities; theirs has 8 blocks a level, this 4",
            reduced=_REDUCED,
        ),
    },
    "blur-diffusion": {
        "lsun64": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "size": 64, "dropout": 0.0, "lr": 5e-5, "batch": 32, "steps": 1_000_000}
            | {"sampling_steps": 1000, "ema_half_life": 222_000, "prediction": "eps"},
            "Lee et al. 2022, section 5: 64 x 64, learning rate 5e-5; the network of DDPM",
            reduced={"size": 8, "batch": 2},
        ),
    },
    "non-uniform-diffusion": {
        "128": Preset(
            {
                "size": 128,
                "channels": 3,
                "batch": 32,
                "patch": 1,
                "widths": (128, 256, 256, 256),
                "blocks": 4,
                "warmup": 5000,
            }
            | {"lr": 2e-4, "steps": 500_000, "ema_half_life": 222_000},
            "Batzolis et al. 2022, section 5: 128 x 128; a network of the width of NCSN++",
            reduced={"size": 16, "batch": 2},
        ),
    },
    "flexible-diffusion": {
        "cifar10": Preset(
            _CIFAR
            | {"widths": (128, 256, 256), "blocks": 4, "patch": 2, "dropout": 0.1, "lr": 2e-4, "steps": 500_000}
            | {"sampling_steps": 1000, "ema_half_life": 887_000},
            "Du et al. 2022, section 5: CIFAR-10; a network of the width of DDPM++, at the size of Haar's bands",
            reduced={**_REDUCED, "widths": (16, 32)},
        ),
    },
    "first-hitting-diffusion": {
        "segmentation64": Preset(
            {"size": 64, "channels": 1, "bits": 3, "batch": 64, "patch": 1, "widths": (64, 128, 256, 512), "blocks": 2}
            | {"attention": (2, 3), "lr": 2e-4, "steps": 500_000, "sampling_steps": 1000, "ema_half_life": 887_000},
            "Ye et al. 2022, section 5: maps of Cityscapes in 8 classes, there 32 x 64; three bits of a class by Gray's code",
            reduced={**_REDUCED, "widths": (16, 32), "attention": ()},
        ),
    },
    "baseline-vae": {
        "mnist": Preset(
            {"size": 28, "channels": 1, "batch": 100, "latents": 20, "widths": (64, 128), "lr": 1e-3, "steps": 600_000},
            "Kingma & Welling 2013, section 5: batches of 100 and 20 latents; convolutions in place of one layer of 500 units",
            reduced={"size": 8, "batch": 2, "widths": (8, 16)},
        ),
    },
    "d3pm": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpm_cifar10", "dropout": 0.1, "lr": 2e-4, "steps": 1_500_000, "values": 256}
            | {"chain": 1000, "sampling_steps": 1000, "ema_half_life": 887_000},
            "Austin et al. 2021, appendix B.3: the network of DDPM, with a logistic head",
            35.7e6,
            reduced=_REDUCED | {"values": 16, "chain": 20, "sampling_steps": 20},
        ),
    },
    "rectified-flow": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpmpp_cifar10", "dropout": 0.15, "lr": 2e-4, "steps": 900_000, "first_steps": 600_000}
            | {"pairs": 1_000_000, "pair_steps": 50, "sampling_steps": 1},
            "Liu et al. 2022, section 5.1: the network of DDPM++; a million pairs stand for their four",
            reduced=_REDUCED | {"pairs": 2, "pair_steps": 1},
        ),
    },
    "consistency-models": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.0, "lr": 4e-4, "batch": 512, "steps": 800_000}
            | {"rate": 0.9, "ema_half_life": 3_500_000},
            "Song et al. 2023, table 3, the column of consistency training on CIFAR-10: NCSN++",
            reduced=_REDUCED,
        ),
    },
    "consistency-improved": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ncsnpp_cifar10", "dropout": 0.3, "lr": 1e-4, "batch": 1024, "steps": 400_000}
            | {"ema_half_life": 10_000_000},
            "Song & Dhariwal 2023, appendix A: NCSN++, dropout 0.3",
            reduced=_REDUCED,
        ),
    },
    "meanflow": {
        "cifar10": Preset(
            _CIFAR
            | {"architecture": "ddpmpp_cifar10", "dropout": 0.2, "lr": 6e-4, "batch": 1024, "steps": 800_000}
            | {"logit_mean": -2.0, "logit_std": 2.0, "power": 0.75},
            "Geng et al. 2025, appendix A: the network of DDPM++ on CIFAR-10",
            reduced=_REDUCED,
        ),
    },
    "latent-diffusion": {
        "celebahq256": Preset(
            _LDM
            | {
                "widths": (224, 448, 672, 896),
                "batch": 48,
                "lr": 9.6e-5,
                "steps": 2_410_000,
                "autoencoder_steps": 2_000_000,
            },
            "Rombach et al. 2022, table 12, LDM-4: 274 M in the U-Net; the VQ autoencoder of f = 4 has 55.3 M",
            274e6 + 55.3e6,
            reduced=_REDUCED_LDM,
        ),
        "imagenet256": Preset(
            _LDM
            | {"widths": (192, 384, 576, 960), "batch": 1200, "lr": 6.4e-5, "steps": 2_178_000, "token_width": 512}
            | {"autoencoder_steps": 2_000_000, "classes": tuple(str(i) for i in range(1000))},
            "Rombach et al. 2022, table 13, LDM-4 with classes by cross-attention: 400.9 M; autoencoder as above",
            400.9e6 + 55.3e6,
            reduced=_REDUCED_LDM | {"classes": ()},
        ),
    },
    "sr3": {
        "faces-16-128": Preset(
            _TOLD
            | {"size": 128, "scale": 8, "widths": (64, 128, 256, 512, 512), "blocks": 3, "dropout": 0.2, "batch": 256}
            | {"attention": (3,), "steps": 1_000_000, "lr": 1e-4, "warmup": 10_000},
            "Saharia et al. 2021, table A.1: 16 to 128 pixels; blocks of another family here",
            reduced=_REDUCED_TOLD | {"scale": 4},
        ),
    },
    "palette": {
        "imagenet256-colorization": Preset(
            _TOLD
            | {"size": 256, "task": "colorization", "widths": (256, 256, 512, 512, 1024, 1024), "batch": 1024}
            | {"attention": (3, 4, 5), "steps": 1_000_000, "lr": 1e-4, "sampling_steps": 1000},
            "Saharia et al. 2021, section 3: the U-Net of ADM at 256 pixels; blocks of another family here",
            reduced=_REDUCED_TOLD,
        ),
    },
    "srdiff": {
        "faces-20-160": Preset(
            _TOLD
            | {"size": 160, "scale": 8, "chain": 100, "widths": (64, 128, 128, 256), "batch": 64, "steps": 400_000}
            | {"encoder_steps": 100_000, "lr": 2e-4, "feature_width": 64},
            "Li et al. 2021, section 4: CelebA at 8x, an encoder of 8 blocks of 32 channels; blocks of another family here",
            reduced=_REDUCED_TOLD | {"scale": 4, "encoder_blocks": 1},
        ),
    },
    "cdm": {
        "imagenet-32-64": Preset(
            _TOLD
            | {"size": 64, "scale": 2, "chain": 4000, "beta_1": 2.5e-5, "beta_T": 5e-3, "widths": (256, 512, 768, 1024)}
            | {"blocks": 3, "batch": 2048, "steps": 800_000, "base_steps": 400_000, "lr": 1e-4, "dropout": 0.1},
            "Ho et al. 2021, appendix B: 32 and 64 pixels, chains of 4000; a linear schedule and blocks of another family here",
            reduced=_REDUCED_TOLD,
        ),
    },
    "unit-ddpm": {
        "pairs64": Preset(
            _TOLD
            | {
                "size": 64,
                "widths": (128, 256, 256, 256),
                "blocks": 2,
                "attention": (2,),
                "lr": 1e-5,
                "translator_lr": 1e-5,
            }
            | {"translator_width": 64, "translator_halvings": 2, "translator_blocks": 6, "sampling_steps": 1000},
            "Sasaki et al. 2021, section 4: 64 pixels, T = 1000, Adam at 1e-5 (not confirmed); blocks of another family here",
            reduced=_REDUCED_TOLD | {"translator_width": 8, "translator_blocks": 1},
        ),
    },
    "semantic-diffusion-model": {
        "ade20k-256": Preset(
            {"size": 256, "channels": 3, "regions": 151, "widths": (256, 256, 512, 512, 1024, 1024), "blocks": 2}
            | {"attention": (3, 4, 5), "head": 64, "hidden": 128, "lr": 1e-4, "clip": 0.0, "ema_half_life": 110_000}
            | {"sampling_steps": 1000, "steps": 350_000, "batch": 16, "flip": False},
            "Wang et al. 2022, section 4: 256 pixels, attention at 32, 16 and 8; the steps and the batch are not confirmed",
            reduced={"size": 8, "batch": 2, "widths": (8, 16), "attention": (), "blocks": 1, "head": 8, "hidden": 8},
        ),
    },
    "diss": {
        "cats512": Preset(
            _TOLD
            | {
                "size": 512,
                "widths": (64, 128, 128, 256, 256, 512, 512),
                "blocks": 2,
                "attention": (4, 5, 6),
                "block": 16,
            }
            | {"lr": 1e-4, "sampling_steps": 250, "ema_half_life": 110_000},
            "Cheng et al. 2022, section 4: 512 pixels, T = 1000, 250 steps when sampling; blocks of another family here",
            reduced=_REDUCED_TOLD | {"block": 2},
        ),
    },
    "dag": {
        "bedroom256": Preset(
            _TOLD
            | {"size": 256, "widths": (256, 256, 512, 512, 1024, 1024), "blocks": 2, "attention": (3, 4, 5), "lr": 1e-4}
            | {"strong": ("decoder.4", "decoder.8", "decoder.12", "decoder.16", "decoder.20"), "weak": ("decoder.12",)},
            "Kim et al. 2022, section 4: the U-Net of ADM at 256 pixels; the layers are ours, the blocks of another family",
            reduced=_REDUCED_TOLD | {"strong": ("decoder.1", "decoder.5"), "weak": ("decoder.3",)},
        ),
    },
    "shortcut": {
        "celeba256-latents": Preset(
            {"architecture": "dit_b", "size": 32, "channels": 4, "batch": 64, "steps": 400_000, "warmup": 5000}
            | {"decay": "constant", "lr": 1e-4, "precision": "bf16"},
            "Frans et al. 2024, table 3: DiT-B/2 on latents of 32 x 32 x 4, without its learned variances",
            130e6,
            0.02,
            reduced={"size": 8, "channels": 3, "batch": 2},
        ),
    },
    "csdi": {
        "paper": Preset(
            {
                "width": 64,
                "heads": 8,
                "layers": 4,
                "context": 0,
                "hidden": 64,
                "window": 48,
                "batch": 16,
                "noise": "chain",
                "anchored": False,
                "placed": False,
            }
            | {
                "masks": ("random",),
                "sampling_steps": 50,
                "lr": 1e-3,
                "warmup": 0,
                "decay": "constant",
                "precision": "fp32",
            },
            "Tashiro et al. 2021, appendix E (415 thousand parameters; its rate falls at 75 and 90 % of the epochs)",
            reduced={"window": 8, "batch": 2},
        ),
    },
    "sssd": {
        "paper": Preset(
            {
                "width": 256,
                "layers": 36,
                "state": 64,
                "noise": "chain",
                "anchored": False,
                "chain": 200,
                "sampling_steps": 200,
            }
            | {"lr": 2e-4, "warmup": 0, "decay": "constant", "steps": 150_000, "precision": "fp32"},
            "Lopez Alcaraz & Strodthoff 2022, table 9: SSSD^S4, with diagonal state spaces",
            reduced={"window": 8, "batch": 2, "width": 16, "layers": 2, "state": 4},
        ),
    },
    "timegrad": {
        "paper": Preset(
            {"hidden": 40, "recurrent_layers": 2, "channels": 8, "blocks": 8, "noise": "chain", "sampling_steps": 100}
            | {"window": 48, "horizon": 24, "lr": 1e-3, "warmup": 0, "decay": "constant", "precision": "fp32"},
            "Rasul et al. 2021, section 4.2: context and horizon of equal length, batches of 64",
            reduced={"window": 8, "horizon": 3, "batch": 2, "chain": 4, "sampling_steps": 2},
        ),
    },
}
"""By recipe and name: one entry per size that a paper trained."""


def presets(recipe: str) -> dict[str, Preset]:
    """Those of one recipe; empty where the table has none."""
    return PRESETS.get(recipe, {})


def preset(recipe: str, name: str) -> Preset:
    """One preset; an unknown name suggests the nearest."""
    known = presets(recipe)
    if not known:
        raise UsageError(f"recipe '{recipe}' has no presets; ornstein show {recipe} lists its fields")
    if name not in known:
        raise unknown(f"preset of recipe '{recipe}'", name, known)
    return known[name]
