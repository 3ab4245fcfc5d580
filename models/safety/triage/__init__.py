"""Triage of a patient's message: rules, a classifier, and the decision.

Read in this order: ``rules`` (the decision), ``red_flag_table`` (the signs as patterns), ``text_readings``,
``letter_joining`` (disguises undone, with models/safety/text), ``text_normalization``,
``code_switching`` and ``quotation_filter`` (what of a message is read), ``assertion_status`` (which mentions count),
``vital_signs`` and ``kick_counts`` (numbers), ``classifier_flag``, ``classifier`` and ``ngrams`` (what no rule spells
out).
"""
