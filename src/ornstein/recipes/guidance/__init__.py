"""Systems whose point is how they are guided."""
