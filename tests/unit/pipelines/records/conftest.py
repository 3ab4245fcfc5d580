"""The fixture of an empty clinic, whose imports draw no pages."""

from tests.unit.pipelines.records.fhir import clinic, no_data_docs

__all__ = ["clinic", "no_data_docs"]
