"""The sample clinic: synthetic records, and the questions, replies and ratings a clinic's portal would hold.

Read in this order: ``synthesize`` (the whole), ``synthea`` (records), ``traits`` (who she is), ``problems``,
``pregnancies`` and ``visits`` (what the records lack), ``chart`` and ``rules`` (what a reply may know and say),
``replies`` and ``portal`` (the conversation), ``arrivals`` and ``damage`` (how it reaches the clinic).
"""
