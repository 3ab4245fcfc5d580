"""Lineage: which lines are behind an answer, and what a line has influenced."""
