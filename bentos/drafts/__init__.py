"""Drafts of a reply, for a clinician alone."""
