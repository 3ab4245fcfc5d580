"""The benchmarks behind every published number; each writes a file in ``results/``.

``serving`` and ``features`` run by ``make``, the modules here as ``python -m benchmarks.<name>``: ``method``,
``recommendation``, ``labels``, ``encoder``, ``triage``, ``scorer``, ``peers_privacy``, ``injection`` (with ``corpora``,
``planted_text`` and ``planted_clinic``).
``planted_fields`` is the drop of the tests that follow a text through the whole system.
"""
