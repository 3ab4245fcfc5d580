"""Erase patients from what a workspace stores."""
