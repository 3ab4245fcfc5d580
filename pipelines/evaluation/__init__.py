"""Measure refiners on a clinic's own held-out patients.

``nightly`` is what every night measures: the challenger against the champion and the baselines, and the gate.
``study`` is the whole table of the method (``pmlm evaluate``); it imports ``nightly``, never the other way.
"""
