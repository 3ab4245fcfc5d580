"""Define, open and read the feature store.

``services`` finds the groups, ``feast_store`` defines the store over them, ``online`` reads one patient; the rest are
their parts. ``feast_internals`` alone reaches into Feast.
"""
