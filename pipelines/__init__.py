"""One folder per stage of the night: plain functions that any scheduler can call."""
