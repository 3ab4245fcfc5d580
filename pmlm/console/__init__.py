"""What commands of ``pmlm`` do and show in a terminal, imported when a command runs."""
