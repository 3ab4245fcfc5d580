"""The feature groups, one file each, with what is computed (``expression``) and its schema (``view``).

Peers and trajectory have no expression: programs compute them (``pipelines.features.engines.peer_rows`` and
``pipelines.features.trajectory``).
"""
