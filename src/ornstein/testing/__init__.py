"""For tests, yours as well as ours: problems with exact solutions, orders of convergence, conformance suites."""
