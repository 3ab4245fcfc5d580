"""Candidate sentences by family: each file maps a feature row to segments."""
