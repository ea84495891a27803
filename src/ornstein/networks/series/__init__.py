"""Networks of series ``[B, K, L]``: K columns, L steps. Conditions are listed in :mod:`ornstein.networks.series.inputs`."""

from ornstein.networks.series.emission import Emission as Emission
from ornstein.networks.series.grid import GridTransformer as GridTransformer
from ornstein.networks.series.s4 import S4D as S4D
from ornstein.networks.series.structured import StructuredStateSpace as StructuredStateSpace
