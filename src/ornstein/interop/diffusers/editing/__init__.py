"""A picture changed by words: inversion, prompt-to-prompt."""
