"""The feature groups, one file each: what is computed (``expression``), its schema (``view``).

Peers and trajectory have no expression: programs compute them (``pipelines.features.engines.peer_rows`` and
``pipelines.features.trajectory``).
"""
