"""Read FHIR resources from files: formats, Bundles, references, codes, times."""
