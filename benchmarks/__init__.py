"""Benchmarks: side by side, in one run, on the machine they are run on."""
