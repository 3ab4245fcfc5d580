"""The page at ``/``: one patient, one question, why the answer is so.

``app`` is what is mounted. ``static/`` is the whole page: no build step, nothing loaded from elsewhere. Everything it
shows of a patient comes through the endpoint's own routes and the few under ``/page/api/``, which answer a
principal for its own patients only: ``patients`` (whom it may choose), ``record`` (trajectory and peers), ``events``
(the sources of a sentence), ``choices`` (how the policy weighed), ``plain`` (the same model without the record) and
``effects`` (what each choice changes in the likelihood of a reply).
"""
