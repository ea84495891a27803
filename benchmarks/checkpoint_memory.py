r"""Peak memory and time of a text-to-image checkpoint under each option that saves memory.

    python benchmarks/checkpoint_memory.py [--size small|sd15] [--pixels 256] [--steps 1] [--device cpu] [--options ...]

A random checkpoint in the layout of Stable Diffusion 1 is written once (``small``: a U-Net of 78 M parameters; ``sd15``: the
published widths, 860 M). Each row is a process of its own: it loads the folder, draws one picture, and reports the bytes of the
weights, the peak of the resident memory above what the imports took (of the device's memory on CUDA), the seconds, and how far
the picture is from that without options. Writes ``benchmarks/results/checkpoint_memory.csv``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from csv_rows import write_rows

RESULTS = Path(__file__).resolve().parent / "results"
OPTIONS = (
    "none", "attention-slicing", "vae-slicing", "vae-tiling", "bf16", "bf16,vae-bf16", "stored-fp8", "stored-bf16",
    "attention-slicing,vae-tiling,stored-fp8",
)  # fmt: skip
WIDTHS = {"small": (96, 192, 384, 384), "sd15": (320, 640, 1280, 1280)}


def make(path: Path, size: str, pixels: int) -> None:
    """A random checkpoint."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    pieces = path.parent / "pieces"
    pieces.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (pieces / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(words)}))
    (pieces / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(pieces / "vocab.json"), str(pieces / "merges.txt"), model_max_length=77)
    width = 768 if size == "sd15" else 256
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=4 * width, num_attention_heads=width // 64,
        num_hidden_layers=12 if size == "sd15" else 4, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=pixels // 8, block_out_channels=WIDTHS[size], cross_attention_dim=width, attention_head_dim=8
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512) if size == "sd15" else (32, 64, 128, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        sample_size=pixels // 2,  # the size of a tile
    )
    steps = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
    )
    diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(config), tokenizer=tokenizer, unet=unet, scheduler=steps,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(path)  # fmt: skip


def resident(what: str) -> float:
    """Bytes of memory of this process: VmRSS now, VmHWM at most so far. Linux; getrusage would count the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith(what)).split()[1])


def measure(path: Path, options: str, steps: int, device: str) -> dict[str, float]:
    """One option, in this process."""
    import torch
    from diffusers import StableDiffusionPipeline  # imported before the first reading
    from transformers import CLIPTextModel

    assert StableDiffusionPipeline and CLIPTextModel
    from ornstein.interop.diffusers import load
    from ornstein.interop.diffusers.pipelines.memory import weights_in_bytes

    on_device = device.startswith("cuda")
    before = float(torch.cuda.memory_allocated()) if on_device else resident("VmRSS")
    begin = time.monotonic()
    system = load(path, memory=() if options == "none" else options.split(","), device=device)
    if "offload" not in options:
        system.to(device)
    loaded = time.monotonic() - begin
    begin = time.monotonic()
    picture = system.sample(1, steps=steps, seed=0, prompt="a cat", guidance=7.5).tensor
    seconds = time.monotonic() - begin
    torch.save(picture, path.parent / f"{options.replace(',', '+')}.pt")
    reference = torch.load(path.parent / "none.pt", weights_only=True)
    return {
        "weights_mb": weights_in_bytes(system) / 1e6,
        "peak_mb": ((torch.cuda.max_memory_allocated() if on_device else resident("VmHWM")) - before) / 1e6,
        "load_seconds": loaded,
        "draw_seconds": seconds,
        "largest_difference": float((picture - reference).abs().max()),
    }


def main() -> None:
    """Make the checkpoint, then a process for each option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(WIDTHS), default="small")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--options", nargs="+", default=list(OPTIONS))
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "OPTION"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.one:
        print(json.dumps(measure(Path(args.one[0]), args.one[1], args.steps, args.device)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "checkpoint"
        make(path, args.size, args.pixels)
        for option in dict.fromkeys(["none", *args.options]):
            words = [sys.executable, __file__, "--one", str(path), option]
            words += ["--steps", str(args.steps), "--device", args.device]
            done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"options": option, "size": args.size, "pixels": args.pixels, "device": args.device, **found})
            print(
                "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else str(v) for k, v in rows[-1].items()), flush=True
            )
    shown = [{k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    write_rows(RESULTS / "checkpoint_memory.csv", shown)


if __name__ == "__main__":
    main()
