"""Measure drift's verdicts: false alarms where nothing changed, and how soon planted shifts are found.

Read in this order: ``pools`` (the sample clinic's rows), ``nights`` (nights drawn from them), ``plants`` (the shifts),
``replay`` (both measurements); ``__main__`` runs them and writes ``benchmarks/results/drift.json``.
"""
