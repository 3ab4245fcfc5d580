"""Metrics, traces and logs of the endpoint, without patients or texts."""
