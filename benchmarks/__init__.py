"""The benchmarks behind every published number; each writes a file in ``results/``.

``serving`` and ``features`` run by ``make``, the modules here as ``python -m benchmarks.<name>``: ``triage``,
``scorer``, ``labels``, ``peers_privacy`` and ``injection`` (with ``corpora``, ``planted_text`` and ``planted_clinic``).
``planted_fields`` is the drop of the tests that follow a text through the whole system.
"""
