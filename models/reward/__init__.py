"""The reward of a prompt, the scorers that measure it, and their cache.

Read in this order: ``terms`` (reward and gain, the ``Scorer`` Protocol), ``embedded_scorer`` (the default), then the
alternatives ``server_scorer`` with ``token_alignment``, and ``judge``; ``request_pool`` and ``score_cache`` serve both.
"""
