"""Fourteen nights of a small clinic with faults planted by seed, under traffic: ``make fortnight``.

Read in this order: ``plan`` (what is planted when), ``sample`` (the clinic it is cut from), ``days`` (a day's records),
``conversations`` (its questions and replies), ``shifts`` (the planted drifts), ``drops`` (all drops, written before the
first night), ``recipe`` (good and bad training parameters), ``traffic`` (questions to the running endpoint), ``kills``,
``simulation`` (the fourteen nights), ``clean_count`` and ``findings`` (what really happened), ``timeline`` (the
picture).
"""
