"""Triage of a patient's message: rules, a classifier, and the decision.

Read in this order: ``rules`` (the decision), ``red_flag_table`` (the signs as patterns), ``text_readings``,
``look_alikes`` and ``letter_joining`` (disguises undone), ``text_normalization``, ``number_words``,
``code_switching`` and ``quotation_filter`` (what of a message is read), ``assertion_status`` (which mentions count),
``vital_signs`` and ``kick_counts`` (numbers), ``classifier_flag``, ``classifier`` and ``ngrams`` (what no rule spells
out).
"""
