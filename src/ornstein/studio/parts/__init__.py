"""What the tabs do, without a page: plain functions, tested as such."""
