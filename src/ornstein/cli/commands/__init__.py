"""One module per command: EXAMPLES, add(parser), run(args)."""
