"""Checks outside everything that learns: triage of messages and checks of answers."""
