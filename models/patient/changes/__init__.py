"""Changes: a new level of a signal, and which change a pregnancy explains."""
