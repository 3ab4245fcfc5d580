"""The import graph has no cycle between folders, and docs/architecture.md shows it."""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict

import grimp
import pytest

from pmlm.settings import PROJECT

ROOTS = ("bentos", "dags", "feature_repo", "models", "pipelines", "pmlm")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOTS, cache_dir=None)


def _folder(graph: grimp.ImportGraph, module: str) -> str:
    return module if graph.find_children(module) or module in ROOTS else module.rpartition(".")[0]


def _folder_edges(graph: grimp.ImportGraph) -> dict[str, dict[str, set[str]]]:
    """Importing folder → imported folder → the imports of files behind it."""
    edges: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            source, target = _folder(graph, importer), _folder(graph, imported)
            if source != target:
                edges[source][target].add(f"{importer} → {imported}")
    return edges


def test_no_cycle_between_folders(graph: grimp.ImportGraph) -> None:
    """The files at a package's root count as one folder, below or above those inside."""
    edges = _folder_edges(graph)
    rest = set(edges)
    while acyclic := {f for f in rest if not edges[f].keys() & rest or not any(f in edges[g] for g in rest)}:
        rest -= acyclic
    cycle = sorted(line for f in rest for g in edges[f].keys() & rest for line in edges[f][g])
    assert cycle == [], "folders import each other in a circle"


def test_every_folder_says_what_it_is(graph: grimp.ImportGraph) -> None:
    folders = sorted({_folder(graph, module) for module in graph.modules})
    files = {folder: PROJECT / folder.replace(".", "/") / "__init__.py" for folder in folders}
    assert [folder for folder, file in files.items() if not ast.get_docstring(ast.parse(file.read_text()))] == []


def test_the_page_of_the_architecture_is_what_the_import_graph_says() -> None:
    spec = importlib.util.spec_from_file_location("draw_architecture", PROJECT / "docs" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    stale = [path.name for path, text in drawing.pages().items() if path.read_text() != text]
    assert stale == [], "run `make architecture`"
