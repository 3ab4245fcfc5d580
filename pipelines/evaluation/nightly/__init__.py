"""What every night measures: held-out rollouts, metrics, and the gate.

Read in this order: ``stage`` (the whole), ``rollout`` (every candidate's program on every episode), ``metrics`` (rows
of the table), ``intervals`` (the statistics), ``gate`` (promote or hold).
"""
