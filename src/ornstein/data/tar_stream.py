"""Pictures of ``.tar`` shards decoded as they are asked for, for sets that are too large to be decoded once."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import torch

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data.dataset import Index
from ornstein.data.pictures import Decoder
from ornstein.data.resize import Crop
from ornstein.data.tars import label_samples, read_index, shard_paths, stamps, tar_pictures


@final
class TarStream:
    """Shards as a set for :class:`ornstein.data.Loader`: shuffled, resumable, never in memory as a whole.

    An epoch goes through the shards in random order, ``window`` of them at a time, and mixes the pictures of those: few
    files are read at once, and yet which pictures batch n holds is a function of seed and n alone, so a stream resumes
    without reading what came before. ``content_hash`` is of names, sizes and places of the pictures, not of pixels.
    Several threads (``Loader(..., workers=4)``) decode ahead.
    """

    def __init__(self, what: str | Path, size: int, channels: int = 3, crop: Crop = "center", window: int = 8):
        if channels not in (1, 3):
            raise UsageError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        if window < 1:
            raise UsageError(f"the window must be at least 1 shard, got {window}")
        self.name, self.source = Path(what).stem, str(what)
        shards, missing, _ = read_index(shard_paths(what))
        if missing:
            name, why = missing[0]
            raise DataError(
                f"{name}: {why}; make the shard again, or open it with open_data, which leaves such samples out"
            )
        self.blocks = tuple(len(shard) for shard in shards if shard)
        self.window = window
        self._samples = [sample for shard in shards for sample in shard]
        self._labels, self.classes = label_samples(self._samples, self.source)
        self._decoder = Decoder(tar_pictures(what), size, channels, strict=True, crop=crop)
        self._about = [size, channels, crop, list(self.classes), self._labels]

    def __len__(self) -> int:
        return len(self._samples)

    def caption(self, i: int) -> str:
        """The text of one sample."""
        return self._samples[i].caption

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of where each picture lies and of what it is decoded to, not of the pixels."""
        about = [stamps(self._samples), [s.caption for s in self._samples], self._about]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def __getitem__(self, index: Index) -> Batch:
        """Some of the pictures ``[B, C, H, W]``, decoded now."""
        rows = range(*index.indices(len(self))) if isinstance(index, slice) else [int(i) for i in np.asarray(index)]
        x = torch.from_numpy(np.stack([self._decoder.one(i) for i in rows]))
        return Batch(x, {} if self._labels is None else {"label": torch.tensor([self._labels[i] for i in rows])})
