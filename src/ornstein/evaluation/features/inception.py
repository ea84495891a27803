"""The Inception network of the original FID: the TensorFlow graph of 2015-12-05, in the layout of pytorch-fid's state dict.

Szegedy et al. 2015, 1512.00567; weights and departures from the paper as in Heusel et al. 2017: average pools leave out the
padding, and the last block takes a maximum where the others average.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.evaluation.features.extractors import Extractor, Features
from ornstein.evaluation.features.files import fill, read_weights

ORIGINAL = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of pt_inception-2015-12-05-6726825d.pth, the only file whose Frechet distance is called FID."""

SIZE = 299


class Conv(nn.Module):
    """Convolution, batch normalisation (eps 0.001), ReLU."""

    def __init__(
        self, ins: int, outs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
    ):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


WIDE, TALL = (1, 7), (7, 1)
WIDE_PAD, TALL_PAD = (0, 3), (3, 0)


def average(x: Tensor) -> Tensor:
    """3 x 3 means over the pixels inside the image."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class BlockA(nn.Module):
    """35 x 35."""

    def __init__(self, ins: int, pool: int):
        super().__init__()
        self.branch1x1 = Conv(ins, 64, 1)
        self.branch5x5_1 = Conv(ins, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(ins, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(ins, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat(
            [self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(average(x))], 1
        )


class BlockB(nn.Module):
    """35 x 35 to 17 x 17."""

    def __init__(self, ins: int):
        super().__init__()
        self.branch3x3 = Conv(ins, 384, 3, 2)
        self.branch3x3dbl_1 = Conv(ins, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    """17 x 17."""

    def __init__(self, ins: int, mid: int):
        super().__init__()
        self.branch1x1 = Conv(ins, 192, 1)
        self.branch7x7_1 = Conv(ins, mid, 1)
        self.branch7x7_2 = Conv(mid, mid, WIDE, padding=WIDE_PAD)
        self.branch7x7_3 = Conv(mid, 192, TALL, padding=TALL_PAD)
        self.branch7x7dbl_1 = Conv(ins, mid, 1)
        self.branch7x7dbl_2 = Conv(mid, mid, TALL, padding=TALL_PAD)
        self.branch7x7dbl_3 = Conv(mid, mid, WIDE, padding=WIDE_PAD)
        self.branch7x7dbl_4 = Conv(mid, mid, TALL, padding=TALL_PAD)
        self.branch7x7dbl_5 = Conv(mid, 192, WIDE, padding=WIDE_PAD)
        self.branch_pool = Conv(ins, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(average(x))], 1)


class BlockD(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self, ins: int):
        super().__init__()
        self.branch3x3_1 = Conv(ins, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, 2)
        self.branch7x7x3_1 = Conv(ins, 192, 1)
        self.branch7x7x3_2 = Conv(192, 192, WIDE, padding=WIDE_PAD)
        self.branch7x7x3_3 = Conv(192, 192, TALL, padding=TALL_PAD)
        self.branch7x7x3_4 = Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    """8 x 8; ``maximum``: the last block's pool, which the original made a maximum."""

    def __init__(self, ins: int, maximum: bool):
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Conv(ins, 320, 1)
        self.branch3x3_1 = Conv(ins, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Conv(ins, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(ins, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else average(x)
        return torch.cat(
            [
                self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled),
            ],
            1,
        )  # fmt: skip


@final
class Inception(nn.Module):
    """``[B, 3, 299, 299]`` in [-1, 1] -> pooled features ``[B, 2048]`` and logits ``[B, 1008]`` without their bias.

    The Inception score's original code left the bias out as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c = BlockC(768, 128), BlockC(768, 160)
        self.Mixed_6d, self.Mixed_6e = BlockC(768, 160), BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, False), BlockE(2048, True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        features = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return features, features @ self.fc.weight.T


@final
class InceptionFeatures(Extractor):
    """Weights from a file of pytorch-fid's layout: the original ``.pth``, or the same as ``.safetensors``."""

    def __init__(self, file: str | Path, wanted: str | None = None):
        state, self.hash = read_weights(file, wanted, frozenset({ORIGINAL}))
        self._net = Inception()
        fill(self._net, state, file, "the Inception network in the layout of pytorch-fid")
        self.original_inception = self.hash == ORIGINAL
        self.name = "Inception pool3" + ("" if self.original_inception else " (other weights)")
        self.dims = 2048
        self.preprocessing = (
            f"bilinear without antialiasing to {SIZE}x{SIZE}, corners not aligned; [-1, 1]; grey repeated"
        )

    @torch.no_grad()
    def batch(self, x: Tensor) -> Features:
        y = x.float() / 255
        y = y.expand(-1, 3, -1, -1) if y.shape[1] == 1 else y
        y = 2 * F.interpolate(y, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1
        parts = [self._net(part) for part in y.split(50)]  # 299 x 299 takes memory
        return Features(torch.cat([f for f, _ in parts]), torch.cat([z for _, z in parts]))
