"""The feature groups: one file per group, with its expression, view and meaning."""
