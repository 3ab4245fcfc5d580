"""The feature store's definitions: what a data engineer reads and edits.

``entities`` names the entity, ``point_in_time`` says what was known when, and every other module holding an
``expression`` and a ``view`` is one feature group, found by ``services`` without being listed anywhere: adding
a feature is adding one file. ``store`` opens a clinic's store, ``online`` reads one patient from it.
"""
