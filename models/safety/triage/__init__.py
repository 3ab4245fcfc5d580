"""Triage of a patient's message by rules: the table's reading, the words' reading, and the decision."""
