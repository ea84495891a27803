"""Draw docs/pictures/systems/NAME.png: what each method of restoration makes of Fashion-MNIST test pictures.

    python tools/restoration_pictures.py NAME [NAME ...]

Above the pictures, below them what is measured of each, and then the results of the recipe's method with the bundled model.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import ornstein
from ornstein.codecs.base import to_bytes
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Stream
from ornstein.data import open_data
from ornstein.evaluation.features.extractors import ClassifierFeatures
from ornstein.measurements import Mask, average_pooling, bicubic, gaussian_blur
from ornstein.recipes.edit import sdedit
from ornstein.recipes.restoration.gdmp import rounds_of
from ornstein.recipes.samples import image_grid
from ornstein.recipes.system import System

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"
COUNT, SHAPE = 10, (1, 28, 28)


def hole() -> Mask:
    """Twelve by twelve pixels in the middle are sought."""
    known = torch.ones(1, 28, 28)
    known[:, 8:20, 8:20] = 0
    return Mask(known)


def noisy(x: Tensor, std: float) -> Tensor:
    """With noise that is the same every time."""
    return x + std * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def repaint(system: System, x: Tensor) -> list[Tensor]:
    """A hole."""
    mask = hole()
    made = ornstein.restore(
        system, Measurement(mask(x), mask), method="repaint", options={"jump": 4, "repeats": 3}, steps=8
    )
    return [mask(x), made.tensor]


def ddrm(system: System, x: Tensor) -> list[Tensor]:
    """A blur with noise."""
    blur = gaussian_blur(SHAPE, 1.5)
    y = noisy(blur(x), 0.05)
    return [y, ornstein.restore(system, Measurement(y, blur, 0.05), method="ddrm", steps=20).tensor]


def dps(system: System, x: Tensor) -> list[Tensor]:
    """A fourfold reduction with noise."""
    small = bicubic(SHAPE, 4)
    y = noisy(small(x), 0.05)
    made = ornstein.restore(system, Measurement(y, small, 0.05), method="dps", steps=80, options={"zeta": 3.0})
    return [_large(y), made.tensor]


def pigdm(system: System, x: Tensor) -> list[Tensor]:
    """A fourfold reduction with noise."""
    small = average_pooling(SHAPE, 4)
    y = noisy(small(x), 0.05)
    return [_large(y), ornstein.restore(system, Measurement(y, small, 0.05), method="pigdm", steps=50).tensor]


def ccdf(system: System, x: Tensor) -> list[Tensor]:
    """A fourfold reduction; the first guess is its enlargement."""
    small = average_pooling(SHAPE, 4)
    y = small(x)
    made = ornstein.restore(system, Measurement(y, small), method="ccdf", steps=15, strength=0.4, guess=_large(y))
    return [_large(y), made.tensor]


def edited(system: System, x: Tensor) -> list[Tensor]:
    """Pictures of seven by seven blocks of four values, from three levels."""
    guide = _large((average_pooling(SHAPE, 4)(x) * 1.5).round() / 1.5).clamp(-1, 1)
    return [guide, *(sdedit(system, guide, strength=s, steps=20).tensor for s in (0.3, 0.5, 0.7))]


def gdmp(system: System, x: Tensor) -> list[Tensor]:
    """An attack on the bundled classifier, and its cure."""
    net = ClassifierFeatures("fashion-mnist").network
    y = net.predict(x)
    z = x
    for _ in range(40):
        z = z.detach().requires_grad_()
        (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(z)[1], y, reduction="sum"), z)
        z = (x + (z + 0.02 * g.sign() - x).clamp(-0.2, 0.2)).clamp(-1, 1).detach()
    level = float(system.process.time(torch.tensor(2.0 * math.log(1 / 0.3), dtype=torch.float64)))
    with torch.no_grad():
        rng, state = Stream(0), system.codec.encode(z, Stream(0))
        made = system.codec.decode(rounds_of(system.guided(1.0), state, level, 2, 20, 20.0, rng))
    right = [int((net.predict(v) == y).sum()) for v in (x, z, made)]
    print(f"kept their class: {right[0]}, attacked {right[1]}, purified {right[2]} of {len(x)}")
    return [z, made]


def _large(y: Tensor) -> Tensor:
    return y.repeat_interleave(4, 2).repeat_interleave(4, 3)


DRAWN: dict[str, Callable[[System, Tensor], list[Tensor]]] = {
    "ccdf": ccdf, "ddrm": ddrm, "dps": dps, "gdmp": gdmp, "pigdm": pigdm, "repaint": repaint, "sdedit": edited,
}  # fmt: skip


def main() -> None:
    """Draw each that is named."""
    system = ornstein.load("fashion-mnist")
    data = torch.from_numpy(open_data("fashion-mnist", split="test").x[:COUNT]).float() / 127.5 - 1
    for name in sys.argv[1:]:
        rows = [data, *DRAWN[name](system, data)]
        picture = image_grid(to_bytes(torch.cat(rows).clamp(-1, 1)), columns=COUNT, zoom=2)
        path = FOLDER / f"{name}.png"
        picture.convert("L").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
