"""The four drift families, one file each: what of a night is compared with its reference window.

``drift_table`` defines the table that ``records``, ``features``, ``prompts`` and ``rewards`` each build.
"""
