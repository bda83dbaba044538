"""Benchmarks: each module answers one question. `make bench`, or python -m benchmarks."""
