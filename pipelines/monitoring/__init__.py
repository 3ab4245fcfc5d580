"""Drift: is tonight unlike the nights before it?

Read in this order: ``drift`` (the stage), ``families`` (the tables compared), ``window`` (current and reference sides),
``column_tests`` (the statistics), ``verdicts`` (one per family), ``report`` (the page). Only ``drift`` is called from
outside, and ``window.resolve_night`` by the command.
"""
