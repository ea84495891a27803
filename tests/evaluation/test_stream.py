"""Images as a stream: what is kept, what is done again, who does what."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation import evaluate, stream
from ornstein.evaluation.features import PixelFeatures
from ornstein.evaluation.features.extractors import Extractor, Features
from ornstein.evaluation.sources import Chosen, Source, Tensors, spread
from ornstein.evaluation.stream import collect


def images(n: int, seed: int = 0, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (n, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Watched:
    """A source that notes what is asked of it."""

    def __init__(self, x: Tensor):
        self.inner = Tensors(x, torch.arange(len(x)) % 3)
        self.shape = self.inner.shape
        self.content_hash = self.inner.content_hash
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: slice):  # type: ignore[no-untyped-def]
        self.asked.append((index.start, index.stop))
        return self.inner[index]


def test_no_more_than_a_batch_is_held() -> None:
    source = Watched(images(1100))
    rows = collect(source, PixelFeatures(1))
    assert max(b - a for a, b in source.asked) <= stream.BATCH
    assert [a for a, _ in source.asked] == [0, 250, 500, 750, 1000]
    torch.testing.assert_close(rows.features, PixelFeatures(1)(source.inner.x).features)
    assert rows.labels is not None and torch.equal(rows.labels, torch.arange(1100) % 3)


def test_finished_parts_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PART", 10)
    x = images(35)
    whole = collect(Watched(x), PixelFeatures(1), work=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    files[2].write_bytes(files[2].read_bytes()[:50])  # torn
    again = Watched(x)
    torch.testing.assert_close(collect(again, PixelFeatures(1), work=tmp_path).features, whole.features)
    assert again.asked == [(20, 30)]
    other = Watched(images(35, seed=1))  # other images in the same folder are not mistaken for these
    collect(other, PixelFeatures(1), work=tmp_path)
    assert len(other.asked) == 4
    finer = Watched(x)  # nor are other features
    collect(finer, PixelFeatures(1, side=8), work=tmp_path)
    assert len(finer.asked) == 4


class Broken(Extractor):
    name, hash, dims, preprocessing = "broken", "broken", 2, "none"

    def batch(self, x: Tensor) -> Features:
        out = x.float().flatten(1)[:, :2].clone()
        out[x.flatten(1)[:, 0] == 255] = torch.nan
        return Features(out)


def test_features_that_are_not_finite_are_named() -> None:
    x = images(700).clamp(max=254)
    x[613, 0, 0, 0] = 255
    with pytest.raises(DataError, match="features of the samples hold NaN or infinity, first of image 613"):
        collect(Tensors(x), Broken())
    with pytest.raises(DataError, match="features of the reference hold NaN"):
        evaluate(images(700).clamp(max=254), x, extractor=Broken(), metrics=["kid"])


def test_nothing_to_measure() -> None:
    with pytest.raises(DataError, match="no samples to measure"):
        collect(Tensors(images(0)), PixelFeatures(1))


def test_chosen_reads_what_is_asked() -> None:
    x = images(50)

    class Indexed:
        shape, content_hash = (1, 16, 16), "x"

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            return Tensors(x)[torch.as_tensor(index)]

    some = Chosen(Indexed(), spread(50, 7))
    assert isinstance(some, Source) and len(some) == 7
    assert torch.equal(some[2:5].x, x[spread(50, 7)[2:5]])
    assert spread(50, 7).tolist()[0] == 0 and spread(50, 7).tolist()[-1] == 49
    assert torch.equal(spread(5, 9), torch.arange(5))


def _worker(rank: int, world: int, port: int, file: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    stream.PART = 10
    source = Watched(images(35))
    rows = collect(source, PixelFeatures(1))
    torch.save({"features": rows.features, "labels": rows.labels, "asked": source.asked}, f"{file}-{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_processes_share_the_parts(tmp_path: Path, free_port: int) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_worker, args=(r, 2, free_port, str(tmp_path / "rows"))) for r in range(2)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(120)
    assert [p.exitcode for p in processes] == [0, 0]
    found = [torch.load(tmp_path / f"rows-{r}", weights_only=True) for r in range(2)]
    wanted = PixelFeatures(1)(images(35)).features
    for each in found:
        torch.testing.assert_close(each["features"], wanted)
        assert torch.equal(each["labels"], torch.arange(35) % 3)
    assert found[0]["asked"] == [(0, 10), (20, 30)] and found[1]["asked"] == [(10, 20), (30, 35)]


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
