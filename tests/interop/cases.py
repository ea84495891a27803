"""What is compared with diffusers' own pipelines: each family, each way to use it."""

from __future__ import annotations

from typing import Any

from interop.same import Case, N, hole, picture

_PROMPTS = ["a lower cat", "low"]
_OURS: dict[str, Any] = {"prompt": _PROMPTS, "negative": "her", "guidance": 5.0}
_THEIRS: dict[str, Any] = {"prompt": _PROMPTS, "negative_prompt": ["her"] * N, "guidance_scale": 5.0}
_IMAGE = picture()
_FROM: dict[str, Any] = {"image": _IMAGE / 2 + 0.5}
_MASK = hole()
_SMALL = _IMAGE[..., ::2, ::2].contiguous()
_INPAINT: dict[str, Any] = {"image": _IMAGE, "mask": _MASK}
_THEIR_INPAINT: dict[str, Any] = {**_FROM, "mask_image": _MASK.expand(N, -1, -1, -1)}
_DIT = ("DDIM", "PNDM", "DPM++ 2M Karras", "UniPC")
"""diffusers' DiTPipeline starts from unit noise whatever the scheduler asks: with Euler it draws something else"""
_DEPTH = _IMAGE[:, :1] * 3 + 4


def words(**more: Any) -> dict[str, Any]:
    """Our prompts."""
    return {**_OURS, **more}


def their_words(**more: Any) -> dict[str, Any]:
    """Theirs."""
    return {**_THEIRS, **more}


CASES: dict[str, Case] = {
    "text to image": Case("stable diffusion", "StableDiffusionPipeline", words(), their_words()),
    "image to image": Case(
        "stable diffusion",
        "StableDiffusionImg2ImgPipeline",
        words(image=_IMAGE, strength=0.6),
        their_words(**_FROM, strength=0.6),
    ),
    "inpainting, 4 channels": Case(
        "stable diffusion",
        "StableDiffusionInpaintPipeline",
        words(**_INPAINT),
        their_words(**_THEIR_INPAINT, strength=1.0),
    ),
    "inpainting, 4 channels, strength 0.7": Case(
        "stable diffusion",
        "StableDiffusionInpaintPipeline",
        words(**_INPAINT, strength=0.7),
        their_words(**_THEIR_INPAINT, strength=0.7),
    ),
    "inpainting, 9 channels": Case(
        "inpainting", "StableDiffusionInpaintPipeline", words(**_INPAINT), their_words(**_THEIR_INPAINT, strength=1.0)
    ),
    "inpainting, 9 channels, strength 0.7": Case(
        "inpainting",
        "StableDiffusionInpaintPipeline",
        words(**_INPAINT, strength=0.7),
        their_words(**_THEIR_INPAINT, strength=0.7),
    ),
    "depth": Case(
        "depth",
        "StableDiffusionDepth2ImgPipeline",
        words(image=_IMAGE, depth=_DEPTH, strength=0.8),
        their_words(**_FROM, depth_map=_DEPTH[:, 0], strength=0.8),
    ),
    "upscaling": Case(
        "upscale",
        "StableDiffusionUpscalePipeline",
        words(image=_SMALL, noise_level=20),
        their_words(image=_SMALL / 2 + 0.5, noise_level=20),
    ),
    "latent consistency": Case(
        "latent consistency",
        "LatentConsistencyModelPipeline",
        {"prompt": _PROMPTS, "guidance": 8.5},
        {"prompt": _PROMPTS, "guidance_scale": 8.5},
        samplers=(None,),
        steps=4,
    ),
    "latent consistency, image to image": Case(
        "latent consistency",
        "LatentConsistencyModelImg2ImgPipeline",
        {"prompt": _PROMPTS, "guidance": 8.5, "image": _IMAGE, "strength": 0.5},
        {"prompt": _PROMPTS, "guidance_scale": 8.5, **_FROM, "strength": 0.5},
        samplers=(None,),
        steps=4,
    ),
    "SDXL": Case("sdxl", "StableDiffusionXLPipeline", words(), their_words()),
    "SDXL, no negative prompt": Case(
        "sdxl",
        "StableDiffusionXLPipeline",
        {"prompt": _PROMPTS, "guidance": 5.0, "original_size": (32, 24), "crop": (2, 3)},
        {"prompt": _PROMPTS, "guidance_scale": 5.0, "original_size": (32, 24), "crops_coords_top_left": (2, 3)},
        samplers=(None,),
    ),
    "SDXL, image to image": Case(
        "sdxl",
        "StableDiffusionXLImg2ImgPipeline",
        words(image=_IMAGE, strength=0.6),
        their_words(**_FROM, strength=0.6),
    ),
    "SDXL, inpainting": Case(
        "sdxl",
        "StableDiffusionXLInpaintPipeline",
        words(**_INPAINT, strength=0.8),
        their_words(**_THEIR_INPAINT, strength=0.8),
    ),
    "DiT": Case(
        "dit",
        "DiTPipeline",
        {"label": [3, 7], "guidance": 4.0},
        {"class_labels": [3, 7], "guidance_scale": 4.0},
        samplers=_DIT,
    ),
    "PixArt": Case(
        "pixart",
        "PixArtAlphaPipeline",
        words(),
        {**their_words(), "clean_caption": False, "use_resolution_binning": False},
    ),
    "Stable Diffusion 3": Case(
        "stable diffusion 3", "StableDiffusion3Pipeline", words(), their_words(), samplers=(None,)
    ),
    "Stable Diffusion 3, image to image": Case(
        "stable diffusion 3",
        "StableDiffusion3Img2ImgPipeline",
        words(image=_IMAGE, strength=0.65),
        their_words(**_FROM, strength=0.65, height=16, width=16),
        samplers=(None,),
    ),
    "Stable Diffusion 3, inpainting": Case(
        "stable diffusion 3",
        "StableDiffusion3InpaintPipeline",
        words(**_INPAINT),
        their_words(**_THEIR_INPAINT, strength=1.0, height=16, width=16),
        samplers=(None,),
        unshifted=True,
    ),
    "Stable Diffusion 3, inpainting, strength 0.7": Case(
        "stable diffusion 3",
        "StableDiffusion3InpaintPipeline",
        words(**_INPAINT, strength=0.7),
        their_words(**_THEIR_INPAINT, strength=0.7, height=16, width=16),
        samplers=(None,),
        unshifted=True,
    ),
    "Flux": Case(
        "flux",
        "FluxPipeline",
        {"prompt": _PROMPTS, "guidance": 3.5},
        {"prompt": _PROMPTS, "guidance_scale": 3.5, "height": 16, "width": 16},
        samplers=(None,),
        size=(16, 16),
    ),
    "Flux, image to image": Case(
        "flux",
        "FluxImg2ImgPipeline",
        {"prompt": _PROMPTS, "guidance": 3.5, "image": _IMAGE, "strength": 0.65},
        {"prompt": _PROMPTS, "guidance_scale": 3.5, "height": 16, "width": 16, **_FROM, "strength": 0.65},
        samplers=(None,),
        size=(16, 16),
    ),
    "Flux, inpainting": Case(
        "flux",
        "FluxInpaintPipeline",
        {"prompt": _PROMPTS, "guidance": 3.5, **_INPAINT},
        {"prompt": _PROMPTS, "guidance_scale": 3.5, "height": 16, "width": 16, **_THEIR_INPAINT, "strength": 1.0},
        samplers=(None,),
        size=(16, 16),
    ),
    "Flux, inpainting, strength 0.7": Case(
        "flux",
        "FluxInpaintPipeline",
        {"prompt": _PROMPTS, "guidance": 3.5, **_INPAINT, "strength": 0.7},
        {"prompt": _PROMPTS, "guidance_scale": 3.5, "height": 16, "width": 16, **_THEIR_INPAINT, "strength": 0.7},
        samplers=(None,),
        size=(16, 16),
    ),
}

OWN: dict[str, str] = {
    "latent consistency": "LCM",
    "sdxl": "Euler",
    "stable diffusion 3": "flow Euler",
    "flux": "flow Euler, shifted by size",
}
"""What the folder's own scheduler is, where it is compared."""
