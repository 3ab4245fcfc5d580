"""The code speaks plain English: short first lines, field terms, one meaning per name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bentos", "dags", "feature_repo", "models", "pipelines", "pmlm")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MOST_WORDS, MOST_LINES, MOST_SIBLINGS = 15, 300, 15
#: Words that meant something to their author alone. Persisted names (``kept``, ``said``) are data, not functions.
PRIVATE = re.compile(r"(?:^|_)(?:told|said|held(?!_out)|kept|hers|aside|foretold|heard|she|woman|women)(?:_|$)")


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    yield from (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is_in_at_most_fifteen_words(package: str) -> None:
    odd = {}
    for path in (f for f in FILES if f.is_relative_to(ROOT / package)):
        first = (ast.get_docstring(_parse(path)) or "").split("\n\n")[0].replace("\n", " ")
        words = re.findall(r"[\w'’`./{}_<>|-]+", first)
        if path.stat().st_size and not 0 < len(words) <= MOST_WORDS:
            odd[str(path.relative_to(ROOT))] = first
    assert not odd


def test_no_function_or_class_has_a_private_word_for_a_name() -> None:
    odd = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        for node in _definitions(_parse(path))
        if PRIVATE.search(node.name.lower())
    ]
    assert not odd


def test_a_class_name_means_one_thing_in_the_whole_tree() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in _parse(path).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_files_and_folders_stay_small() -> None:
    long = [str(f.relative_to(ROOT)) for f in FILES if len(f.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    siblings = defaultdict(int)
    for path in FILES:
        siblings[str(path.parent.relative_to(ROOT))] += path.name != "__init__.py"
    assert not long
    assert not {folder: count for folder, count in siblings.items() if count > MOST_SIBLINGS}
