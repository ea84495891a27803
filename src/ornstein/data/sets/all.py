"""Every named set that packages carry. A new one is a file with its conversion and one row here."""

from __future__ import annotations

from ornstein.data.sets.furniture import FURNITURE
from ornstein.data.sets.medical import BRAINS, FROGS, HEARTS
from ornstein.data.sets.molecules import MOLECULES
from ornstein.data.sets.music import MUSIC
from ornstein.data.sets.named import Named
from ornstein.data.sets.prose import PROSE
from ornstein.data.sets.proteins import PROTEINS
from ornstein.data.sets.series import BEIJING, GUNPOINT, ITALY, MOTIONS
from ornstein.data.sets.speech import SPEECH
from ornstein.data.sets.sprites import SPRITES
from ornstein.data.sets.stamps import SOUNDS, STAMPS
from ornstein.data.sets.tumours import TUMOURS
from ornstein.data.sets.verses import VERSES

NAMED: tuple[Named, ...] = (
    STAMPS,
    PROSE,
    VERSES,
    MOLECULES,
    BEIJING,
    ITALY,
    GUNPOINT,
    MOTIONS,
    SPEECH,
    MUSIC,
    SOUNDS,
    SPRITES,
    BRAINS,
    TUMOURS,
    HEARTS,
    FROGS,
    FURNITURE,
    PROTEINS,
)
