"""Every row of the method's table, measured on a clinic's own records: ``pmlm evaluate --all``."""
