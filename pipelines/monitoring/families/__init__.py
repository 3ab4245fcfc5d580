"""The four drift families, one file each: which tables of a night are compared.

``drift_table`` defines the table that ``records``, ``features``, ``prompts`` and ``rewards`` each build.
"""
