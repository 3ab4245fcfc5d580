"""Open the feature store and read it online."""
