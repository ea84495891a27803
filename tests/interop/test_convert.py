"""Single file, folder, run: there and back gives the same tensors and the same picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import ornstein
from interop.originals import original, sharded, stripped
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.interop.files import convert, read
from ornstein.interop.files.transformer_names import flux_table, sd3_table
from ornstein.interop.files.unet_names import Layout, unet_names
from ornstein.interop.files.vae_names import vae_names

FAMILIES = ("sd1", "sd2", "sdxl", "sd3", "flux")
PARTS = {"sd1": 3, "sd2": 3, "sdxl": 4, "sd3": 5, "flux": 4}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    return {p.parent.name: load_file(p) for p in folder.glob("*/*.safetensors")}


def network(family: str) -> str:
    return "transformer" if family in ("sd3", "flux") else "unet"


def lacks(family: str, folder: Path) -> dict[str, Path]:
    """What another's single file needs besides."""
    return {"base": folder} if family in ("sd3", "flux") else {"tokenizer": folder / "tokenizer"}


def picture(path: Path, **more: Path) -> Tensor:
    """At the size of the small checkpoints, which no shape shows."""
    system = ornstein.load(path, size=(16, 16), **more)  # type: ignore[arg-type]
    return system.sample(1, steps=2, seed=3, prompt="a low cat").tensor


@pytest.mark.parametrize("family", FAMILIES)
def test_there_and_back(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders[family]
    single = convert(folder, tmp_path / "one.safetensors")
    run = convert(single, tmp_path / "run", to="run")
    back = convert(run, tmp_path / "back")
    before, after = weights(folder), weights(back)
    assert before.keys() == after.keys() and len(before) == PARTS[family]
    assert all(same(before[part], after[part]) for part in before)
    config = f"{network(family)}/config.json"
    for name in ("model_index.json", config, "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        assert (folder / name).read_text() == (back / name).read_text()
    again = convert(back, tmp_path / "again.safetensors")
    assert same(load_file(single), load_file(again))


@pytest.mark.parametrize("family", FAMILIES)
def test_all_forms_draw_the_same_picture(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders[family]
    single = convert(folder, tmp_path / "one.safetensors")
    run = convert(folder, tmp_path / "run", to="run")
    foreign = stripped(single, tmp_path / "foreign.safetensors")
    expected = picture(folder)
    assert float(expected.std()) > 0.01
    # The tensors are equal to the bit; where they lie in a file decides how a CPU sums, and so the last digit.
    for path, more in ((single, {}), (run, {}), (foreign, lacks(family, folder))):
        assert float((picture(path, **more) - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_others_comes_back_whole(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Tensors that no part has a place for are kept, and the configs are read off the shapes."""
    folder = folders[family]
    foreign = stripped(convert(folder, tmp_path / "one.safetensors"), tmp_path / "foreign.safetensors")
    more: dict[str, Any] = lacks(family, folder)
    made = convert(foreign, tmp_path / "folder", **more)
    assert same(load_file(foreign), load_file(convert(made, tmp_path / "back.safetensors")))
    free = {"sample_size", "pad_token_id"}  # no shape shows them
    for part in weights(folder):
        given = json.loads((folder / part / "config.json").read_text())
        found = json.loads((made / part / "config.json").read_text())
        assert not {k: (v, given[k]) for k, v in found.items() if k in given and k not in free and given[k] != v}
    lean = convert(foreign, tmp_path / "lean", **more, drop_unused=True)
    assert (made / "left_over.safetensors").is_file() and not (lean / "left_over.safetensors").exists()


def test_names_agree_with_those_of_diffusers(folders: dict[str, Path], tmp_path: Path) -> None:
    """The maps are our own; diffusers' converters find the same places."""
    from diffusers.loaders import single_file_utils as theirs

    for family in FAMILIES[:3]:
        folder = folders[family]
        file = load_file(convert(folder, tmp_path / f"{family}.safetensors"))
        parts = weights(folder)
        config = json.loads((folder / "unet" / "config.json").read_text())
        assert same(theirs.convert_ldm_unet_checkpoint(dict(file), config), parts["unet"])
        config = json.loads((folder / "vae" / "config.json").read_text())
        assert same(theirs.convert_ldm_vae_checkpoint(dict(file), config), parts["vae"])
    # Of the encoders, in the layout of older versions of transformers.
    clip = theirs.convert_ldm_clip_checkpoint(
        load_file(tmp_path / "sd1.safetensors"), remove_prefix="cond_stage_model.transformer."
    )
    assert same({k.removeprefix("text_model."): v for k, v in clip.items()}, weights(folders["sd1"])["text_encoder"])


def test_names_of_transformers_agree_with_those_of_diffusers(folders: dict[str, Path], tmp_path: Path) -> None:
    from diffusers.loaders import single_file_utils as theirs

    ours = weights(folders["sd3"])["transformer"]
    file = load_file(convert(folders["sd3"], tmp_path / "sd3.safetensors"))
    assert same(theirs.convert_sd3_transformer_checkpoint_to_diffusers(dict(file)), ours)
    # 3.5: normed queries and keys, a second attention in some blocks. One column of each matrix is enough.
    import diffusers
    from accelerate import init_empty_weights

    with init_empty_weights():
        normed = diffusers.SD3Transformer2DModel(
            num_layers=3, num_attention_heads=2, caption_projection_dim=128, joint_attention_dim=64, pooled_projection_dim=24,
            sample_size=8, pos_embed_max_size=8, dual_attention_layers=(0, 1), qk_norm="rms_norm",
        )  # fmt: skip
        flux = diffusers.FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
    both = (
        (normed, sd3_table(3, 128), theirs.convert_sd3_transformer_checkpoint_to_diffusers),
        (flux, flux_table(2, 2, 3072), theirs.convert_flux_transformer_checkpoint_to_diffusers),
    )
    for model, table, converted in both:
        some = {k: torch.randn(len(v), *[1] * (v.ndim - 1)) for k, v in model.state_dict().items()}
        some |= {k: torch.randn(v.shape) for k, v in model.state_dict().items() if k == "context_embedder.weight"}
        file, left = table.back(some)
        assert not left and same(converted(dict(file)), some)
        again, left = table.there(file)
        assert not left and same(again, some)


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_a_transformer_alone_takes_the_rest_from_a_folder(
    family: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders[family]
    single = load_file(convert(folder, tmp_path / "one.safetensors"))
    head = "model.diffusion_model."
    alone = {k.removeprefix(head): v for k, v in single.items() if k.startswith(head)}
    save_file(alone, tmp_path / "alone.safetensors")
    expected = picture(folder)
    found = picture(tmp_path / "alone.safetensors", base=folder)
    assert float((found - expected).abs().max()) < 1e-5
    made = tmp_path / "made"
    assert main(["convert", str(tmp_path / "alone.safetensors"), str(made), "--base", str(folder)]) == 0
    assert same(load_file(made / "transformer" / "diffusion_pytorch_model.safetensors"), weights(folder)["transformer"])
    with pytest.raises(UsageError, match="neither configs nor tokenizers: give a diffusers folder"):
        ornstein.load(tmp_path / "alone.safetensors")
    other = folders["flux" if family == "sd3" else "sd3"]
    with pytest.raises(UsageError, match=f"and the base {other.name} a "):
        ornstein.load(tmp_path / "alone.safetensors", base=other)
    with pytest.raises(UsageError, match="leave tokenizer and prediction out"):
        read(tmp_path / "alone.safetensors", tokenizer=folder, base=folder)
    with pytest.raises(UsageError, match="is no single file; leave base out"):
        read(folder, base=folder)
    with pytest.raises(UsageError, match="is no single file; leave tokenizer, prediction and base out"):
        ornstein.load(folder, base=folder)
    # Fewer blocks, and another base's settings, are seen in the file itself.
    name = "final_layer.linear.weight"
    save_file({k: v for k, v in alone.items() if k != name}, tmp_path / "less.safetensors")
    with pytest.raises(CheckpointError, match=r"missing keys: proj_out\.weight"):
        ornstein.load(tmp_path / "less.safetensors", base=folder)
    joined = "joint_blocks.0.x_block.attn.qkv.weight" if family == "sd3" else "double_blocks.0.img_attn.qkv.weight"
    save_file({**alone, joined: alone[joined][:-1]}, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match=r"has (47|95) rows in a network of width (16|32)"):
        ornstein.load(tmp_path / "odd.safetensors", base=folder)


def test_flux_says_itself_whether_it_is_told_the_scale(folders: dict[str, Path], tmp_path: Path) -> None:
    from interop.makers import flux

    schnell = flux(tmp_path / "schnell", guided=False)
    file = stripped(convert(schnell, tmp_path / "one.safetensors"), tmp_path / "alone.safetensors")
    made: Any = ornstein.load(file, base=folders["flux"], size=(16, 16))
    assert not made.tells_scale and made.guidance == 1.0


@pytest.mark.parametrize("attention", [(True, True, False), (False, True, True, True), (True,)])
def test_the_tables_are_one_to_one_at_any_size(attention: tuple[bool, ...]) -> None:
    names = unet_names(Layout(3, attention))
    originals = [a for a, _ in names.pairs]
    layout = Layout.of_original([f"{n}.weight" for n in originals if "emb_layers" not in n])
    assert layout == Layout(3, attention)
    assert Layout.of_diffusers(f"{b}.weight" for _, b in names.pairs) == Layout(3, attention)
    for a, b in (*names.pairs, *vae_names(4, 2).pairs):
        table = names if (a, b) in names.pairs else vae_names(4, 2)
        assert table.there(f"{a}.weight") == f"{b}.weight" and table.back(f"{b}.weight") == f"{a}.weight"
    assert names.there("nothing.of.this.weight") is None


def test_inpainting_files_say_so(tmp_path: Path) -> None:
    folder = original(tmp_path / "folder", "sd1", channels=9)
    foreign = stripped(convert(folder, tmp_path / "one.safetensors"), tmp_path / "foreign.safetensors")
    found = read(foreign, tokenizer=folder / "tokenizer")
    assert found.pipeline == "StableDiffusionInpaintPipeline"


def test_shards_and_variants(sd1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(sd1, folder)
    expected = picture(sd1)
    sharded(folder / "unet")
    assert torch.equal(picture(folder), expected)
    half = convert(sd1, tmp_path / "half", dtype="fp16")
    for file in half.glob("*/*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    assert read(half).tensors["unet"]["conv_in.weight"].dtype == torch.float16
    assert float((picture(half) - expected).abs().max()) < 0.01
    for file in half.glob("*/*.fp16.safetensors"):  # full precision beside the variant: the former is read
        part = file.parent.name
        shutil.copy(next((sd1 / part).glob("*.safetensors")), file.with_name(file.name.replace(".fp16", "")))
    assert torch.equal(picture(half), expected)
    assert read(half, variant="fp16").tensors["vae"]["encoder.conv_in.weight"].dtype == torch.float16
    with pytest.raises(
        CheckpointError, match=r"no variant 'bf16'; there is the full precision, 'fp16'|'fp16', the full"
    ):
        read(half, variant="bf16")


def test_what_is_wrong_with_shards_is_named(sd1: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(sd1, folder)
    sharded(folder / "unet")
    index = next((folder / "unet").glob("*.index.json"))
    whole = index.read_text()
    gone = folder / "unet" / "diffusion_pytorch_model-00002-of-00003.safetensors"
    gone.rename(tmp_path / "aside")
    with pytest.raises(CheckpointError, match=r"names files that are not there: .*00002-of-00003"):
        ornstein.load(folder)
    (tmp_path / "aside").rename(gone)
    index.write_text(whole.replace(gone.name, "../vae/diffusion_pytorch_model.safetensors"))
    with pytest.raises(CheckpointError, match="names a file outside its folder"):
        ornstein.load(folder)
    index.write_text("{")
    with pytest.raises(CheckpointError, match="is no index of shards"):
        ornstein.load(folder)


def test_misfits_are_listed(sd1: Path, tmp_path: Path) -> None:
    single = convert(sd1, tmp_path / "one.safetensors")
    tensors = load_file(single)
    with safe_open(single, "pt") as f:
        header = f.metadata()
    name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    save_file({**tensors, name: torch.zeros(3, 3)}, tmp_path / "odd.safetensors", header)
    with pytest.raises(
        CheckpointError,
        match=r"mismatched keys: down_blocks.0.resnets.0.conv1.weight is \[3, 3\], not \[32, 32, 3, 3\]",
    ):
        ornstein.load(tmp_path / "odd.safetensors")
    save_file({k: v for k, v in tensors.items() if k != name}, tmp_path / "less.safetensors", header)
    with pytest.raises(CheckpointError, match=r"missing keys: down_blocks.0.resnets.0.conv1.weight$"):
        ornstein.load(tmp_path / "less.safetensors")
    foreign = stripped(single, tmp_path / "foreign.safetensors")
    with pytest.raises(UsageError, match="carries no tokenizer: give the folder"):
        ornstein.load(foreign)
    words = tmp_path / "words"
    shutil.copytree(sd1 / "tokenizer", words)
    vocabulary = json.loads((words / "tokenizer.json").read_text())
    vocabulary["model"]["vocab"]["extra"] = 999
    (words / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(UsageError, match="has 59 words, the text encoder 58: it is another model's"):
        ornstein.load(foreign, tokenizer=words)
    (tmp_path / "torn.safetensors").write_bytes(single.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"torn.safetensors cannot be read"):
        ornstein.load(tmp_path / "torn.safetensors")


@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["lora_unet_down.lora_up.weight"], "looks like a LoRA"),
        (["emb_params"], "looks like a textual-inversion embedding"),
        (["down_blocks.0.resnets.0.norm1.weight"], "one part of a diffusers folder"),
        (["double_stream_modulation_img.lin.weight"], "looks like Flux 2"),
        (["model.diffusion_model.x"], "no text encoder of Stable Diffusion"),
        (["what"], "its tensors are called what"),
    ],
)
def test_other_files_are_recognised(names: list[str], looks: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({n: torch.zeros(1) for n in names}, path)
    with pytest.raises(CapabilityError, match=looks):
        ornstein.load(path)


def test_the_command(sd1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "one.safetensors"
    assert main(["convert", str(sd1), str(target), "--dtype", "bf16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1
    assert {v.dtype for v in load_file(target).values() if v.is_floating_point()} == {torch.bfloat16}
    assert main(["convert", str(sd1), str(target)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "nothing"), str(tmp_path / "x")]) == 2
    assert main(["convert", str(sd1), str(tmp_path / "x"), "--label", "3"]) == 2
    assert main(["convert", "fashion-mnist", str(tmp_path / "x")]) == 1
    assert "diffusers' unconditional pipelines draw pictures in [-1, 1]" in capsys.readouterr().err
