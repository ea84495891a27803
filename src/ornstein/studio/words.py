"""Words of the page that stand on it before any model is read. Nothing here needs PyTorch."""

from __future__ import annotations

OWN = "default"
"""Stands for a sampler or grid that is left to the model."""
IN_TURN = "all, in turn"
"""Stands for labels that cycle through the classes."""
NO_LABEL = "none"
"""Stands for a label that is missing: the unconditional model."""
MOST = 64
"""Samples of one call from the page."""

AXES = ("sampler", "steps", "guidance", "seed")
"""What a comparison varies."""
NOTHING = "nothing"
"""Stands for an axis that is not used."""

EDITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "inpaint": ("Brush over what is to be drawn anew.", ("noise", "method")),
    "superres": ("The picture is taken as one that was made smaller so many times.", ("scale", "noise", "method")),
    "colorize": ("The picture's greys are kept; colours are drawn.", ("noise", "method")),
    "deblur": ("The picture is taken as blurred by a Gaussian of this width.", ("blur", "noise", "method")),
    "denoise": ("The picture is taken as having noise of this deviation.", ("noise", "method")),
    "uncrop": ("The picture is put in the middle; what lies around is drawn.", ("margin", "noise", "method")),
    "compress": ("The picture is taken as one that JPEG has harmed.", ("quality", "noise", "method")),
    "strokes": ("Paint roughly; the composition is kept, the rest made real.", ("strength",)),
    "interpolate": ("Pictures on the way from this one to a second one.", ("other",)),
    "translate": ("The same picture under another label.", ("from_label",)),
}
"""Each task: what it does, and the fields that it reads beside picture, label, seed, steps and guidance."""

FILLS = ("fill the gaps", "forecast")
"""What is done with a table of series."""
