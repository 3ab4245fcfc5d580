"""What ``pmlm`` shows in a terminal: progress, tables, answers side by side."""
