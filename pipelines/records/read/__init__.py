"""Read FHIR resources from files: formats, bundles, references, codes, times."""
