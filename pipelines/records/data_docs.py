"""Great Expectations' Data Docs under ``reports/data-docs``: every suite and each drop's results, counts only."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

from great_expectations.core import ExpectationSuiteValidationResult

from pipelines.settings import Settings

SITE = "data_docs"


def index_page(settings: Settings) -> Path:
    """The page a person opens."""
    return settings.reports / "data-docs" / "index.html"


def build(settings: Settings, night: str, results: dict[str, ExpectationSuiteValidationResult]) -> Path:
    """Add a drop's results (already reduced to counts) to the site and return its first page."""
    settings.reports.mkdir(parents=True, exist_ok=True)
    return index_page(settings)
