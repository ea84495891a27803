r"""DreamBooth: a network learns one subject under a rare word and keeps its class. Ruiz et al. 2022, 2208.12242.

loss = |out(x, "a sks dog") - target|^2 + lambda |out(x', "a dog") - target|^2, x' drawn by the network itself before training.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.data import Images
from ornstein.interop.adapters.lora import base_of
from ornstein.interop.adapters.places import parts_of
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.files.bundle import Bundle, write_folder
from ornstein.interop.tuning.lora import FILE, Low, Tuned
from ornstein.interop.tuning.pictures import Drawn, Stream, encoded, pictures_of, told
from ornstein.interop.tuning.settings import Settings, denoiser_of, times_of, trained
from ornstein.interop.tuning.writing import Dialect, write_lora
from ornstein.objectives.denoising import Denoising

MODEL = "model"


@final
class WithPrior:
    """The loss of a batch whose last part is of the class: that part counts ``weight`` times."""

    def __init__(self, objective: Denoising, own: int, weight: float):
        self.objective, self.own, self.weight = objective, own, weight

    def __call__(self, batch: Batch[Tensor], rng: Random) -> Loss:
        t, error, weighted = self.objective.draws(batch, rng)
        own, prior = weighted[: self.own].mean(), weighted[self.own :].mean()
        logs = {"loss_own": float(own.detach()), "loss_prior": float(prior.detach())}
        return Loss(own + self.weight * prior, logs, (t.detach().reshape(-1), error.detach()))


def train_dreambooth(
    base: Pipeline,
    data: str | Path | Images,
    out: str | Path,
    *,
    prompt: str,
    class_prompt: str | None = None,
    class_images: int = 50,
    class_steps: int | None = None,
    prior_weight: float = 1.0,
    rank: int | None = 4,
    source: Bundle | None = None,
    dialect: Dialect = "diffusers",
    settings: Settings | None = None,
) -> Tuned:
    """Teach a network a subject.

    Args:
        data: a few pictures of it. ``prompt``: what they show, with a rare word ("a photo of sks dog").
        class_prompt: what the subject is one of ("a photo of a dog"); with it the class is kept, by as many pictures as
            ``class_images`` that the base draws in ``class_steps`` steps. Without, there is no prior preservation.
        prior_weight: lambda.
        rank: of low-rank changes; None trains all weights of the network, as the paper does, and writes a whole folder, for
            which ``source`` has the other parts.
        dialect: of the adapter's file.

    Raises:
        UsageError: a weight below 0, no source for a whole folder. DataError, CapabilityError: unusable data or base.
    """
    settings, out = settings or Settings(), Path(out)
    denoiser_of(base)
    if prior_weight < 0 or class_images < 1:
        raise UsageError(
            f"prior_weight is at least 0 and class_images at least 1, got {prior_weight} and {class_images}"
        )
    if rank is None and source is None:
        raise UsageError("training all weights writes a whole folder: give source, the files of the base")
    pictures = pictures_of(data, base)
    low = Low.of(base, rank) if rank is not None else None
    system = low.system if low is not None else whole(base)
    part, network = next(iter(parts_of(system).items()))
    system.to(settings.device)
    system.modules.eval()
    groups = [(encoded(pictures, system.codec), told(system, [prompt] * len(pictures)))]
    sizes = [settings.batch]
    if class_prompt is not None:
        drawn = base.to(settings.device).sample(
            class_images, seed=settings.seed, steps=class_steps, prompt=class_prompt, batch=8
        )
        groups.append((encoded(drawn.tensor, system.codec), told(system, [class_prompt] * class_images)))
        sizes.append(settings.batch)
    objective = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    both: Any = objective if class_prompt is None else WithPrior(objective, settings.batch, prior_weight)
    model = low.modules() if low is not None else nn.ModuleDict({part: network})
    about = {
        "base": base_of(base),
        "rank": rank,
        "prompt": prompt,
        "class_prompt": class_prompt,
        "weight": prior_weight,
    }
    result = trained(model, both, Stream(groups, sizes, settings.seed), out, settings, "dreambooth", about)
    system.modules.eval()
    if low is not None:
        path = write_lora(low.tensors(), out / FILE, dialect=dialect, part=low.part, base=base_of(base))
    else:
        assert source is not None
        path = folder(source, part, network, out / MODEL)
    return Tuned(system, path, result.loss, result.step)


def whole(base: Pipeline) -> Pipeline:
    """A copy of a system whose network's weights are its own and are trained."""
    denoiser = copy.deepcopy(denoiser_of(base))
    next(iter(parts_of(replace(base, denoiser=denoiser)).values())).requires_grad_(True)
    return replace(base, denoiser=denoiser)


def folder(source: Bundle, part: str, network: nn.Module, path: Path) -> Path:
    """The pipeline's folder with these weights of its network; a former one is replaced."""
    shutil.rmtree(path, ignore_errors=True)
    kind = next(iter(source.tensors[part].values())).dtype
    weights = {k: v.detach().to(kind if v.is_floating_point() else v.dtype) for k, v in network.state_dict().items()}
    return write_folder(Bundle(source.files, {**source.tensors, part: weights}), path)
