"""Drift: is tonight unlike the nights before it?

Read in this order: ``drift`` (the stage), ``families`` (the tables compared), ``window`` (each night's tables),
``reference`` (the nights before, summarised), ``column_tests`` and ``trends`` (the statistics), ``verdicts`` (one per
family), ``report`` (the page). Only ``drift`` is called from
outside, and ``window.resolve_night`` by the command.
"""
