"""A synthetic patient's record: traits, pregnancies, problems, visits, measured signals.

Lowest first: ``calendar`` and ``fhir``; ``synthea`` (the base record), ``identity``, ``problems``, ``traits``;
``pregnancies``, ``signals``, ``visits`` (what is added); ``chart`` (what was known when), ``diagnoses``.
"""
