"""Peer-informed: the most similar patients as of a moment, and what is known of them in aggregate."""
