"""The method of PMLM, pure: events and features in, prompts out.

Read in this order: ``schema`` (the types), ``vocabulary`` (the codes), ``changes``,
``preferences`` and ``peers`` (what is known about her and about women like her), ``segments``
(candidate sentences), ``prompt`` (the initial hard prompt), ``refiner`` (the policy that
re-ranks and cuts it), ``reward`` (what a good prompt is), ``safety`` and ``llm``.
Nothing in here imports a scheduler, a feature store or a server.
"""
