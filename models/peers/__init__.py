"""Peer-informed: the most similar patients as of a moment, in aggregate only."""
