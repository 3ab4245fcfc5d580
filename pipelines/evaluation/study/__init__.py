"""The whole table of the method, measured on one clinic's records: ``pmlm evaluate``."""
