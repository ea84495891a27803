"""Codecs between data and the state in which diffusion happens."""

from ornstein.codecs.base import Codec as Codec
from ornstein.codecs.base import Identity as Identity
from ornstein.codecs.base import Scale as Scale
from ornstein.codecs.base import to_bytes as to_bytes
