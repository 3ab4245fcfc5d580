"""The endpoint's own routes that BentoML does not serve: health, explanations, timelines, the OpenAPI document."""
