"""The kinds of pipelines that are read, one file for each; the table says which class belongs to which file."""
