"""How samples are shown: one view for each modality, a row each in :mod:`ornstein.studio.views.table`."""
