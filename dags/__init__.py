"""When, in what order, who is told: the schedule of PMLM, and no logic."""
