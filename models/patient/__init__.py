"""Self-informed: pregnancy, changes, preferences and trajectory of one patient."""
