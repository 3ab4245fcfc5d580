"""Measure feature builds, increments, online reads and peer search, each against a baseline."""
