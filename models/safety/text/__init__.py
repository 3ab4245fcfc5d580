"""Read characters and words for what they stand for: look-alikes and numbers in words.

Nothing here knows a sign; triage and the answer check read through it.
"""
