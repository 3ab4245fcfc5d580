"""The whole table of the method, measured on one clinic's records: ``pmlm evaluate``.

Read in this order: ``evaluate`` (the run), ``scored_rows`` (the parts that a language model scores), ``rows/`` (a file
per row of METHOD's table), ``comparison/`` (the refiners compared and how they are trained), ``page`` (the report).
Imports go one way: evaluate → scored_rows → rows → comparison → ``nightly``.
"""
