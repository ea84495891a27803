"""What every room shares: errors, shapes, conditions, randomness, distributions. Nothing here knows diffusion."""
