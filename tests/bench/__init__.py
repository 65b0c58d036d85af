"""Measurements, not tests: each module has a `main()` that prints a table, with a peer or a baseline beside it."""
