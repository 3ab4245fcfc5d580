"""The sample clinic: synthetic records, and portal questions, replies and ratings.

Read in this order: ``synthesize`` (the whole), ``patient`` (one patient), ``records/`` (the record: ``synthea``,
``options``, ``traits``, ``likeness``, ``problems``, ``pregnancies``, ``visits``, ``diagnoses``, ``chart``), ``portal/``
(``rules``, ``replies``, ``emphasis``, ``quotations``, ``conversations``), ``arrivals`` and ``damage`` (how it reaches
the clinic). This root calls ``portal``, and ``portal`` calls ``records``; neither calls back. Every draw is seeded by
what it is for, so no draw depends on another.
"""
