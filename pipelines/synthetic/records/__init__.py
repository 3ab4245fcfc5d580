"""A synthetic patient's record: traits, pregnancies, problems, visits, measured signals.

Lowest first: ``calendar``, ``options`` and ``fhir``; ``synthea`` (the base record), ``identity``, ``problems``,
``traits``; ``likeness`` (what like women share);
``pregnancies``, ``signals``, ``visits`` (what is added); ``chart`` (what was known when), ``diagnoses``.
"""
