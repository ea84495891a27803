"""Data: sets of images, the ways to open them, and the stream that feeds training. Knows nothing of diffusion."""

from ornstein.data.cache import cache_dir
from ornstein.data.dataset import Images
from ornstein.data.loader import Loader
from ornstein.data.open import open_data
from ornstein.data.sources import SOURCES, Source, fetch

__all__ = ["SOURCES", "Images", "Loader", "Source", "cache_dir", "fetch", "open_data"]
