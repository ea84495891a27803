"""Systems that find things in pictures."""
