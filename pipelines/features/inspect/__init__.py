"""Inspect features: show, verify, compare nights, write the catalogue."""
