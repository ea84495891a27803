"""The pieces that networks share: conditioning, embeddings of the noise level, norms, attention, resampling."""
