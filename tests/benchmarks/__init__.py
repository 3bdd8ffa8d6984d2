"""Measurements behind docs/benchmarks.md. `make bench` runs them all; `make bench ARGS=compose` one of them."""
