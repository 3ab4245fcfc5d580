"""Great Expectations' Data Docs under ``reports/data-docs``: every suite and each drop's results, counts only."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import FileDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from pipelines.records.suites import TABLES, suite
from pipelines.settings import Settings

_SITE = "data_docs"
_SITE_CONFIG: Any = {
    "class_name": "SiteBuilder",
    "show_how_to_buttons": False,
    # Relative to the context's folder, so that a clinic's state can be moved.
    "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": "../../reports/data-docs"},
    "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
}

Results = dict[str, ExpectationSuiteValidationResult]


def index_page(settings: Settings) -> Path:
    """The page a person opens."""
    return settings.reports / "data-docs" / "index.html"


def build(settings: Settings, night: str, results: Results) -> Path:
    """Add a drop's results, already reduced to counts, to the site and return its first page."""
    context = _context(settings)
    run = RunIdentifier(run_name=night, run_time=datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC))
    pages: list[Any] = []
    for table, result in results.items():
        of_suite = ExpectationSuiteIdentifier(table)
        key = ValidationResultIdentifier(of_suite, run, batch_identifier=f"{night}-{table}")
        context.validation_results_store.set(key, result)
        pages += [of_suite, key]
    context.build_data_docs(site_names=[_SITE], resource_identifiers=pages)
    return index_page(settings)


def _context(settings: Settings) -> FileDataContext:
    context = gx.get_context(mode="file", project_root_dir=settings.workspace / "cache")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for table in TABLES:
        context.suites.add_or_update(suite(table))
    if _SITE not in context.get_site_names():
        context.add_data_docs_site(_SITE, _SITE_CONFIG)
    return context
