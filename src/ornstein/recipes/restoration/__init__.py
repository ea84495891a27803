"""Systems whose point is how they restore and edit pictures."""
