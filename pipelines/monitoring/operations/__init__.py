"""Gather for the operations page what nights, the monitor and alerts have written."""
