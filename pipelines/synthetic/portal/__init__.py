"""The synthetic clinic's portal: questions, rule-based clinician replies, ratings.

``expressions`` parse the conditions of ``rules``, ``replies`` apply the rules to a chart; ``emphasis`` and
``quotations`` are how like women matter, ``second_writer`` rewrites. ``conversations`` simulate question, reply and
rating, ``spoken_facts`` tells what a reply names, ``catalogue`` writes the rules into the documentation.
"""
