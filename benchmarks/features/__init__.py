"""Measure feature builds, increments, online reads and peer search, each with its baseline in the same run."""
