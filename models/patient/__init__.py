"""Self-informed: what one patient's own record says: pregnancy, changes, preferences, trajectory."""
