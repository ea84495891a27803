"""Metrics of pictures with captions: how well they belong together in the space of two towers."""

from ornstein.evaluation.captions.alignment import alignment as alignment
from ornstein.evaluation.captions.alignment import retrieval as retrieval
from ornstein.evaluation.captions.collection import Captioned as Captioned
from ornstein.evaluation.captions.collection import CaptionSettings as CaptionSettings
from ornstein.evaluation.captions.table import caption_alignment as caption_alignment
from ornstein.evaluation.captions.towers import Projected as Projected
from ornstein.evaluation.captions.towers import Towers as Towers
from ornstein.evaluation.captions.towers import emoji_towers as emoji_towers
