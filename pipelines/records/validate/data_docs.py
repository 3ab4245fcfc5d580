"""Great Expectations' Data Docs under ``reports/data-docs``: suites and each drop's results, as counts.

Great Expectations' own index loads scripts from the network, so in a clinic's closed network it is empty. The start
page is therefore ours: it lists the same result pages and needs nothing else.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, time
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
from jinja2 import Template

from pipelines.night_dates import parse_night
from pipelines.records.validate.suites import TABLES, build_suite
from pmlm.settings import Settings
from pmlm.storage import read_json, write_bytes, write_json

_SITE = "data_docs"
_NIGHTS = 30  # on the page; older results stay on disk
_SITE_CONFIG: Any = {
    "class_name": "SiteBuilder",
    "show_how_to_buttons": False,
    # Relative to the context's folder, so that a clinic's state can be moved.
    "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": "../../reports/data-docs"},
    "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
}

SuiteResults = dict[str, ExpectationSuiteValidationResult]


def index_page_path(settings: Settings) -> Path:
    """The path of the start page."""
    return settings.reports / "data-docs" / "contents.html"


def build_site(settings: Settings, night: str, results: SuiteResults) -> Path:
    """Add a drop's results to the site; return the start page."""
    context = _open_context(settings)
    run = RunIdentifier(run_name=night, run_time=datetime.combine(parse_night(night), time(), UTC))
    pages: list[Any] = []
    for table, result in results.items():
        of_suite = ExpectationSuiteIdentifier(table)
        key = ValidationResultIdentifier(of_suite, run, batch_identifier=f"{night}-{table}")
        context.validation_results_store.set(key, result)
        pages += [of_suite, key]
    context.build_data_docs(site_names=[_SITE], resource_identifiers=pages)
    return _write_index_page(settings, night, results)


def _write_index_page(settings: Settings, night: str, results: SuiteResults) -> Path:
    """Write the start page of the last nights, with this one's counts."""
    path = settings.reports / "data-docs" / "nights.json"
    nights: dict[str, Any] = read_json(path) if path.exists() else {}
    nights[night] = {table: _count_results(settings, night, table, result) for table, result in results.items()}
    newest = sorted(nights, reverse=True)[:_NIGHTS]
    write_json(path, {day: nights[day] for day in newest})
    template = Template((Path(__file__).parent / "data_docs.html.j2").read_text(), autoescape=True)
    rows = [(day, sorted(nights[day].items())) for day in newest]
    return write_bytes(index_page_path(settings), template.render(nights=rows, suites=sorted(TABLES)).encode())


def _count_results(
    settings: Settings, night: str, table: str, result: ExpectationSuiteValidationResult
) -> dict[str, Any]:
    site = settings.reports / "data-docs"
    (page,) = (site / "validations" / table / night).rglob(f"{night}-{table}.html")
    return {
        "page": page.relative_to(site).as_posix(),
        "expectations": len(result.results),
        "unmet": sum(not one.success for one in result.results),
        "unexpected": sum(int(one.result.get("unexpected_count") or 0) for one in result.results),
    }


def _open_context(settings: Settings) -> FileDataContext:
    context = gx.get_context(mode="file", project_root_dir=settings.workspace / "cache")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for table in TABLES:
        context.suites.add_or_update(build_suite(table))
    if _SITE not in context.get_site_names():
        context.add_data_docs_site(_SITE, _SITE_CONFIG)
    return context
