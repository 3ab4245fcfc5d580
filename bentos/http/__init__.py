"""HTTP around the method: access, BentoML's missing routes, mounted apps, the OpenAPI document."""
