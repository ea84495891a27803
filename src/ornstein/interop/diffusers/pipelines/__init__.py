"""Pipelines' folders as Systems: their parts read and joined, what a drawing starts from, what saves memory."""
