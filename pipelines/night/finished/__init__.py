"""A finished night of the sample clinic ships: ``pmlm demo`` needs no training."""
