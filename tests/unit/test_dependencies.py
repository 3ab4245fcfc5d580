"""Imports are declared in the extra that their folder may use; the lock avoids published advisories."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipelines.packaging.requirements import LOCK, read_lock
from pmlm.settings import PROJECT

PRODUCT = ("bentos", "dags", "feature_repo", "models", "pipelines", "pmlm")
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
#: Imported inside functions alone, by those who configured what needs them.
OPTIONAL = ("dspy", "postgres", "redis", "spark")
#: Not installed with the lock: import → distribution.
ABSENT = {"apprise": "apprise", "dspy": "dspy", "pyspark": "pyspark", "airflow.providers.apache": "apache-airflow"}
#: The distributions that apache-airflow, declared in one version, is made of.
PARTS = {"apache-airflow-core": "apache-airflow", "apache-airflow-task-sdk": "apache-airflow"}


def _extra_of(file: Path) -> str | None:
    """The extra that a file may import from; None for the base dependencies alone."""
    package, *rest = file.relative_to(PROJECT).parts
    if package == "pmlm" and len(rest) == 1:
        return None
    trains = file.name == "grpo.py"  # of models/: GRPO's trainer, which serving never loads
    return "serve" if package in ("bentos", "feature_repo", "models") and not trains else "night"


@cache
def _declared(extra: str | None) -> frozenset[str]:
    """Distributions that ``pmlm[extra]`` declares, those of the extras that it includes too."""
    found: set[str] = set()
    extras = DECLARED["optional-dependencies"]
    for line in (*DECLARED["dependencies"], *(extras[extra] if extra else ())):
        need = Requirement(line)
        found |= {n for e in need.extras for n in _declared(e)} if need.name == "pmlm" else {need.name}
    return frozenset(canonicalize_name(name) for name in found)


_providers = cache(packages_distributions)


@cache
def _files(name: str) -> frozenset[str]:
    return frozenset(str(file) for file in distribution(name).files or ())


@cache
def _distribution(module: str) -> str:
    """The distribution of a module, or of a name that a module defines."""
    absent = next((name for top, name in ABSENT.items() if f"{module}.".startswith(f"{top}.")), None)
    if absent:
        return absent
    parts = module.split(".")
    found = _providers()[parts[0]]
    if len(found) > 1:  # a namespace that several share
        paths = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
        files = [file for path in paths for file in (f"{path}.py", f"{path}/__init__.py")]
        found = [next(d for file in files for d in found if file in _files(d))]
    name = canonicalize_name(found[0])
    return PARTS.get(name, name)


def _imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Imported names, each with whether a function or type checking alone imports it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", inside) for alias in node.names)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        yield from _imports(node, inside or typing or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _third_party(file: Path) -> set[tuple[str, bool]]:
    own = {*sys.stdlib_module_names, *PRODUCT}
    return {
        (_distribution(name), inside)
        for name, inside in _imports(ast.parse(file.read_text()))
        if name.partition(".")[0] not in own
    }


@pytest.mark.parametrize("package", PRODUCT)
def test_every_import_is_declared_where_its_folder_may_use_it(package: str) -> None:
    optional = frozenset().union(*map(_declared, OPTIONAL))
    undeclared = {
        f"{file.relative_to(PROJECT)}: {name}, in the extra {_extra_of(file)}"
        for file in (PROJECT / package).rglob("*.py")
        for name, inside in _third_party(file)
        if name not in _declared(_extra_of(file)) | (optional if inside else frozenset())
    }
    assert sorted(undeclared) == []


def test_every_declared_version_allows_the_locked_one() -> None:
    locked = {name: re.split("==", line)[1] for name, line in read_lock().items() if "==" in line}
    lines = [
        *DECLARED["dependencies"],
        *(line for extra in DECLARED["optional-dependencies"].values() for line in extra),
    ]
    needs = [need for need in map(Requirement, lines) if canonicalize_name(need.name) in locked]
    assert [str(n) for n in needs if not n.specifier.contains(locked[canonicalize_name(n.name)])] == []


def test_the_lock_names_one_exact_version_of_each_package() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.]+", line)] == []
    assert len(read_lock()) == len(lines)


def test_no_locked_version_is_older_than_an_advisorys_fix() -> None:
    locked = {name: Version(line.split("==")[1]) for name, line in read_lock().items()}
    with (PROJECT / "tests" / "data" / "advisories.csv").open() as file:
        advisories = list(csv.DictReader(file))
    concerned = [a for a in advisories if a["package"] in locked]
    assert len(concerned) > len(advisories) / 2, "the list is about packages that are not installed"
    assert [a["advisory"] for a in concerned if locked[a["package"]] < Version(a["fixed_in"])] == []


def test_tests_of_one_group_run_on_one_worker(tmp_path: Path) -> None:
    """Otherwise a module's fixtures are made once per worker, as under pytest 9.2 with pytest-xdist 3.8."""
    (tmp_path / "test_grouped.py").write_text(
        "import pathlib, pytest\n"
        "pytestmark = pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_where(number, worker_id):\n"
        "    pathlib.Path(__file__).with_name(f'ran-on-{worker_id}').touch()\n"
    )
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(list(tmp_path.glob("ran-on-*"))) == 1
