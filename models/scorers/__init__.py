"""Scorers beside the embedded one: servers that tell log-probabilities of given text.

All implement ``models.reward.Scorer``; which one is asked is a setting (docs/how-to/scorers.md).
"""
