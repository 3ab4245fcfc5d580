"""What every night measures: held-out rollouts, metrics, and the gate."""
