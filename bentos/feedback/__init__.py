"""Feedback on answers: ratings, preferences, clinicians' edits, comments, cards followed or overridden."""
