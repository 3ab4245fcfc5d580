"""Candidates, baselines and trainings that the rows compare."""
