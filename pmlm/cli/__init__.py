"""The ``pmlm`` command: one file per command group."""
