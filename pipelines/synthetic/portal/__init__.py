"""The synthetic clinic's portal: questions, rule-based clinician replies, ratings.

``expressions`` parse the conditions of ``rules``, ``replies`` apply the rules to a chart, ``conversations`` simulate
question, reply and rating, ``catalogue`` writes the rules into the documentation.
"""
