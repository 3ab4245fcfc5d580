"""A bento has every module that its own modules import."""

from __future__ import annotations

import ast
from pathlib import Path

from pipelines.packaging.bento import copy_sources

OURS = ("models", "bentos", "feature_repo", "pmlm", "pipelines", "dags")


def list_imports(source: Path) -> set[str]:
    """The modules of this project that a file imports by absolute name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in OURS}


def test_everything_that_a_bento_imports_is_in_it(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    offered = tmp_path / "pmlm" / "__init__.py"  # the client, imported by applications alone
    files = sorted(set(tmp_path.rglob("*.py")) - {offered})
    assert len(files) > 100
    for file in files:
        for name in list_imports(file):
            place = tmp_path.joinpath(*name.split("."))
            assert place.with_suffix(".py").exists() or (place / "__init__.py").exists(), (file.name, name)
