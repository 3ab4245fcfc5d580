"""Build the feature files of a night, incrementally and in parallel."""
