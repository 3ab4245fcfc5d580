"""Refiners: what turns the initial hard prompt into a refined one, by choosing, never by writing.

Read in this order: ``interface`` (the one method every refiner has, and the caps), ``ranking`` and
``baselines`` (rules), ``actions`` (the closed edit vocabulary), ``reading`` (how text reaches the policy),
``policy`` (π_θ), ``choosing`` (the policy as a refiner), ``warm_start`` and ``grpo`` (how it learns),
``artefact`` (how it is kept).
"""
