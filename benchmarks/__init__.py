"""Every number we publish: one package a benchmark, run by ``make``, written to ``results/``."""
