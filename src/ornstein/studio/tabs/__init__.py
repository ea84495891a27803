"""The tabs: layout and wiring, one file each; what they do is in :mod:`ornstein.studio.parts`."""
