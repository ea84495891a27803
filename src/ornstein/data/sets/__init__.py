"""Named sets, one file each: where it comes from, how it is converted, what it must hold."""
