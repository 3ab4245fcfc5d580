"""The fixture of an empty clinic."""

from tests.unit.pipelines.records.fhir import clinic

__all__ = ["clinic"]
