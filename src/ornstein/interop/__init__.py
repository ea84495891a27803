"""Other ecosystems' files, read and written."""
