"""Records of time series: irregular stamps, missing values, unequal lengths; how they are read, and windows to train on."""

from ornstein.data.series.clock import CALENDAR as CALENDAR
from ornstein.data.series.frames import from_frame as from_frame
from ornstein.data.series.frames import to_frame as to_frame
from ornstein.data.series.open import RECORDS as RECORDS
from ornstein.data.series.open import open_series as open_series
from ornstein.data.series.reading import Layout as Layout
from ornstein.data.series.reading import read_csv as read_csv
from ornstein.data.series.record import Record as Record
from ornstein.data.series.record import SeriesTable as SeriesTable
from ornstein.data.series.windows import Windows as Windows
