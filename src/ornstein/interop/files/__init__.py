"""Files of weights: single files, pipeline folders, runs, and how one becomes the other."""

from ornstein.interop.files.bundle import Bundle
from ornstein.interop.files.convert import convert, read

__all__ = ["Bundle", "convert", "read"]
