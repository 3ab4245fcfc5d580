"""Releases beside the one that is served."""
