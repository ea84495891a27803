"""Which pipeline classes are read, the parts that each must have, and the classes that may stand in each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_KL = ("AutoencoderKL",)
_CLIP = ("CLIPTextModel",)
_PROJECTED = ("CLIPTextModelWithProjection",)
_CLIP_WORDS = ("CLIPTokenizer", "CLIPTokenizerFast")
_T5 = ("T5EncoderModel",)
_T5_WORDS = ("T5Tokenizer", "T5TokenizerFast")
_ANY: tuple[str, ...] = ()
"""any class that the part's own reader knows (schedulers)"""


@dataclass(frozen=True)
class Family:
    """A row: pipelines that one file builds."""

    file: str
    """the module under ``families`` with ``build``"""
    pipelines: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    """part -> the classes that may stand there; nothing else is ever imported for a folder"""
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """parts that a folder may lack"""


_SD = {
    "unet": ("UNet2DConditionModel",),
    "scheduler": _ANY,
    "vae": _KL,
    "text_encoder": _CLIP,
    "tokenizer": _CLIP_WORDS,
}
_XL_SECOND = {"text_encoder_2": _PROJECTED, "tokenizer_2": _CLIP_WORDS}
_XL = {"unet": ("UNet2DConditionModel",), "scheduler": _ANY, "vae": _KL, **_XL_SECOND}
_XL_FIRST = {"text_encoder": _CLIP, "tokenizer": _CLIP_WORDS}
_DPT = ("DPTFeatureExtractor", "DPTImageProcessor", "DPTImageProcessorFast", "DPTImageProcessorPil")
_DEPTH = {"depth_estimator": ("DPTForDepthEstimation",), "feature_extractor": _DPT}

FAMILIES: tuple[Family, ...] = (
    Family("unconditional", ("DDPMPipeline", "DDIMPipeline"), {"unet": ("UNet2DModel",), "scheduler": _ANY}),
    Family("score_ve", ("ScoreSdeVePipeline",), {"unet": ("UNet2DModel",), "scheduler": ("ScoreSdeVeScheduler",)}),
    Family(
        "stable_diffusion",
        ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
        _SD,
    ),
    Family("stable_diffusion", ("StableDiffusionDepth2ImgPipeline",), _SD, _DEPTH),
    Family("stable_diffusion", ("StableDiffusionUpscalePipeline",), {**_SD, "low_res_scheduler": _ANY}),
    Family("stable_diffusion", ("LatentConsistencyModelPipeline", "LatentConsistencyModelImg2ImgPipeline"), _SD),
    Family(
        "stable_diffusion_xl",
        ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
        _XL,
        _XL_FIRST,
    ),
    Family(
        "stable_diffusion_3",
        ("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"),
        {
            "transformer": ("SD3Transformer2DModel",),
            "scheduler": _ANY,
            "vae": _KL,
            "text_encoder": _PROJECTED,
            "tokenizer": _CLIP_WORDS,
            **_XL_SECOND,
        },
        {"text_encoder_3": _T5, "tokenizer_3": _T5_WORDS},
    ),
    Family(
        "flux",
        ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"),
        {
            "transformer": ("FluxTransformer2DModel",),
            "scheduler": _ANY,
            "vae": _KL,
            "text_encoder": _CLIP,
            "tokenizer": _CLIP_WORDS,
            "text_encoder_2": _T5,
            "tokenizer_2": _T5_WORDS,
        },
    ),
    Family(
        "dit",
        ("DiTPipeline",),
        {"transformer": ("DiTTransformer2DModel", "Transformer2DModel"), "scheduler": _ANY, "vae": _KL},
    ),
    Family(
        "pixart",
        ("PixArtAlphaPipeline", "PixArtSigmaPipeline"),
        {
            "transformer": ("PixArtTransformer2DModel", "Transformer2DModel"),
            "scheduler": _ANY,
            "vae": _KL,
            "text_encoder": _T5,
            "tokenizer": _T5_WORDS,
        },
    ),
)
"""One row for each set of parts; a new family is a row and a file."""


def pipelines() -> dict[str, Family]:
    """Pipeline class -> its row."""
    return {name: family for family in FAMILIES for name in family.pipelines}
