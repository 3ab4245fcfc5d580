"""Two tiers of checks: structure against a table, values by Great Expectations."""
