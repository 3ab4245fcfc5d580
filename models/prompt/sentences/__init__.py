"""The families of candidate sentences: one file a family, each a function from a feature row to segments."""
