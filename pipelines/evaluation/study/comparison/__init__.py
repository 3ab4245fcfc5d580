"""Candidates, baselines and trainings that the rows compare; knows none of the rows.

``candidates`` are the refiners compared (``prompt_optimizers``, ``hash_bag`` and ``fusion`` among them), ``recipe``
trains one, ``bench`` is what every scored row works with, ``budget`` bounds its cost; ``paired``, ``seeds`` and
``slices`` turn rollouts into rows.
"""
