"""The import graph: no cycle between folders, where the files at a package's root count as one folder."""

from __future__ import annotations

from collections import defaultdict

import grimp
import pytest

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
    edges = _folder_edges(graph)
    rest = set(edges)
    while acyclic := {f for f in rest if not edges[f].keys() & rest or not any(f in edges[g] for g in rest)}:
        rest -= acyclic
    cycle = sorted(line for f in rest for g in edges[f].keys() & rest for line in edges[f][g])
    assert cycle == [], "folders import each other in a circle"
