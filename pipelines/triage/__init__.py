"""``pmlm triage``: triage a file of messages, measure triage, fit its classifier.

``messages`` reads and answers a file; ``corpus`` is what ``fit_classifier`` learns from; ``evaluation`` measures.
"""
