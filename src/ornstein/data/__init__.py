"""Data: sets of images, the ways to open them, and the stream that feeds training. Knows nothing of diffusion."""

from ornstein.data.arrays import from_array as from_array
from ornstein.data.arrays import read_arrays as read_arrays
from ornstein.data.cache import cache_dir as cache_dir
from ornstein.data.dataset import Images as Images
from ornstein.data.folder import DataWarning as DataWarning
from ornstein.data.folder import Report as Report
from ornstein.data.folder import read_folder as read_folder
from ornstein.data.idx import read_idx as read_idx
from ornstein.data.loader import Loader as Loader
from ornstein.data.open import FOLDER_SIZE as FOLDER_SIZE
from ornstein.data.open import open_data as open_data
from ornstein.data.sources import SOURCES as SOURCES
from ornstein.data.sources import Source as Source
from ornstein.data.sources import fetch as fetch
