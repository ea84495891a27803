"""A small random checkpoint of each family, made with the classes of diffusers and transformers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch

from interop.checkpoints import SD, tokenizer

PNDM: dict[str, Any] = {**SD, "skip_prk_steps": True}


def clip(words: Any, projected: bool = False, width: int = 16) -> Any:
    """A CLIP text encoder of three layers."""
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=24,
        num_attention_heads=2,
        num_hidden_layers=3,
        max_position_embeddings=words.model_max_length,
        projection_dim=12,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return (transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel)(config)


def t5(width: int = 20) -> tuple[Any, Any]:
    """A T5 tokenizer of letters, and an encoder of one layer."""
    import transformers

    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -1.0),
        *((c, -2.0) for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    words = transformers.T5Tokenizer(vocab=pieces, extra_ids=0)
    config = transformers.T5Config(
        vocab_size=len(words), d_model=width, d_kv=8, d_ff=24, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return words, transformers.T5EncoderModel(config)


def autoencoder(latents: int = 4, **more: Any) -> Any:
    """Half the size in each direction."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        sample_size=16,
        latent_channels=latents,
        **more,
    )


def unet(channels: int = 4, width: int = 16, **more: Any) -> Any:
    """A UNet of one layer that reads text."""
    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8,
            "in_channels": channels,
            "out_channels": 4,
            "layers_per_block": 1,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": width,
            "attention_head_dim": 2,
            "norm_num_groups": 8,
            **more,
        }
    )


def saved(kind: str, path: Path, **parts: Any) -> Path:
    """The pipeline of this class, in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(diffusers, kind)(**parts).save_pretrained(path)
    return path


def also_says(path: Path, **options: Any) -> Path:
    """Options of other classes in the scheduler's file, as the published folders have them."""
    file = path / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **options}))
    return path


def _sd(path: Path, kind: str = "StableDiffusionPipeline", network: Any = None, **more: Any) -> Path:
    words = tokenizer(path.parent / f"{path.name}-pieces")
    parts = {
        "vae": autoencoder(),
        "text_encoder": clip(words),
        "tokenizer": words,
        "unet": network or unet(),
        "scheduler": diffusers.PNDMScheduler(**PNDM),
        **more,
    }
    if kind not in ("StableDiffusionDepth2ImgPipeline", "StableDiffusionUpscalePipeline"):
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return saved(kind, path, **parts)


def stable_diffusion(path: Path) -> Path:
    """Text to image; with the same parts image to image, and inpainting with a network of four channels."""
    return also_says(_sd(path), clip_sample=False)


def inpainting(path: Path) -> Path:
    """Nine channels: the state, the mask, what stays."""
    return also_says(_sd(path, "StableDiffusionInpaintPipeline", unet(9)), clip_sample=False)


def depth(path: Path) -> Path:
    """Five channels: the state and a depth map."""
    import transformers

    estimator = transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=16,
            patch_size=4,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8,
        )
    )
    reader = transformers.DPTImageProcessor(size={"height": 16, "width": 16})
    return _sd(path, "StableDiffusionDepth2ImgPipeline", unet(5), depth_estimator=estimator, feature_extractor=reader)


def upscale(path: Path) -> Path:
    """Seven channels: the state and the small picture; the level of its noise is a class."""
    return _sd(
        path,
        "StableDiffusionUpscalePipeline",
        unet(7, num_class_embeds=1000),
        low_res_scheduler=diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02),
    )


def latent_consistency(path: Path) -> Path:
    """A network that is told the guidance scale."""
    scheduler = diffusers.LCMScheduler(**SD)
    return _sd(path, "LatentConsistencyModelPipeline", unet(time_cond_proj_dim=8), scheduler=scheduler)


def stable_diffusion_xl(path: Path) -> Path:
    """Two encoders, micro-conditions."""
    words = tokenizer(path.parent / f"{path.name}-pieces")
    network = unet(
        width=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 12,
        use_linear_projection=True,
    )
    folder = saved(
        "StableDiffusionXLPipeline",
        path,
        vae=autoencoder(),
        text_encoder=clip(words),
        tokenizer=words,
        text_encoder_2=clip(words, projected=True),
        tokenizer_2=words,
        unet=network,
        scheduler=diffusers.EulerDiscreteScheduler(**SD, timestep_spacing="leading"),
    )
    return also_says(folder, clip_sample=False, sample_max_value=1.0, set_alpha_to_one=False, skip_prk_steps=True)


def dit(path: Path) -> Path:
    """Classes, with a learned variance."""
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, sample_size=8
    )
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    saved("DiTPipeline", path, transformer=network, vae=autoencoder(), scheduler=scheduler)
    index = path / "model_index.json"
    names = {str(i): f"word {i}, kind {i}" for i in range(1000)}
    index.write_text(json.dumps({**json.loads(index.read_text()), "id2label": names}))
    return path


def pixart(path: Path) -> Path:
    """T5 and cross-attention, with a learned variance."""
    words, encoder = t5()
    network = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        sample_size=8,
        cross_attention_dim=16,
        caption_channels=20,
        use_additional_conditions=False,
    )
    return saved(
        "PixArtAlphaPipeline",
        path,
        transformer=network,
        vae=autoencoder(),
        tokenizer=words,
        text_encoder=encoder,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def stable_diffusion_3(path: Path) -> Path:
    """Three encoders and flow matching."""
    words = tokenizer(path.parent / f"{path.name}-pieces")
    long_words, long_encoder = t5(32)
    network = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=24,
        out_channels=16,
        pos_embed_max_size=16,
    )
    return saved(
        "StableDiffusion3Pipeline",
        path,
        transformer=network,
        vae=autoencoder(16, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip(words, projected=True),
        tokenizer=words,
        text_encoder_2=clip(words, projected=True),
        tokenizer_2=words,
        text_encoder_3=long_encoder,
        tokenizer_3=long_words,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def flux(path: Path, guided: bool = True) -> Path:
    """Patches of two by two latents, a network that is told the guidance scale, a shift that goes with the size."""
    words = tokenizer(path.parent / f"{path.name}-pieces")
    long_words, long_encoder = t5(32)
    network = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guided,
    )
    return saved(
        "FluxPipeline",
        path,
        transformer=network,
        vae=autoencoder(shift_factor=0.1, scaling_factor=0.4, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(words),
        tokenizer=words,
        text_encoder_2=long_encoder,
        tokenizer_2=long_words,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )


def score_ve(path: Path) -> Path:
    """Song et al. 2021's variance-exploding SDE on pictures."""
    network = diffusers.UNet2DModel(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        time_embedding_type="fourier",
        attention_head_dim=8,
    )
    return saved(
        "ScoreSdeVePipeline", path, unet=network, scheduler=diffusers.ScoreSdeVeScheduler(sigma_max=50.0, snr=0.1)
    )


MAKERS: dict[str, Callable[[Path], Path]] = {
    "stable diffusion": stable_diffusion,
    "inpainting": inpainting,
    "depth": depth,
    "upscale": upscale,
    "latent consistency": latent_consistency,
    "sdxl": stable_diffusion_xl,
    "dit": dit,
    "pixart": pixart,
    "stable diffusion 3": stable_diffusion_3,
    "flux": flux,
    "score sde ve": score_ve,
}


def make(family: str, path: Path) -> Path:
    """The folder of a family's random checkpoint; the same weights each time."""
    torch.manual_seed(0)
    return MAKERS[family](path)
