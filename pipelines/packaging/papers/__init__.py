"""The papers of a release: what it is, how measured, what it is made of.

Read in this order: ``papers`` (the whole), ``fixed_cases`` (its prompts for invented patients), ``evaluation_report``
(figures and plot), ``cards`` (model and data), ``source_attributes`` (HTI-1), ``bill_of_materials`` (CycloneDX).
"""
