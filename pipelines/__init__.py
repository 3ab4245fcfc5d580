"""One room a stage of the night: plain functions that any scheduler could call, and the ``pmlm`` command line."""
