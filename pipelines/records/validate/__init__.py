"""Two tiers of validation: structure against a table of fields, values by Great Expectations."""
