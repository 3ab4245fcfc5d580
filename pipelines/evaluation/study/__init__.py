"""The whole table of the method, measured on one clinic's records: ``pmlm evaluate``.

Read in this order: ``evaluate`` (the run), ``unscored_parts`` and ``scored_parts`` (what is measured and stored at
once; a language model scores the latter), ``finished_parts`` (so that a run resumes), ``selection`` (``--rows``),
``rows/`` (a file per row of METHOD's table), ``comparison/`` (the refiners compared and how they are trained),
``page`` (the report). Imports go one way:
evaluate → parts → finished_parts → selection → rows → comparison → ``nightly``.
"""
