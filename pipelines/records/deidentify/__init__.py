"""Find identifiers in records and remove them from free text."""
