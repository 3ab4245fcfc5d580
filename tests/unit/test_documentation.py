"""README and docs name only commands, options, files and settings that exist."""

from __future__ import annotations

import gzip
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import click
import pytest
import typer
from pydantic_core import PydanticUndefined

from pmlm.cli.main import app
from pmlm.example_patient import ID
from pmlm.settings import PROJECT, Settings

PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("**/*.md")])
ROOT = typer.main.get_command(app)

FENCE = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
#: An id like those of the sample; "Patient/ID" is a placeholder.
PATIENT = re.compile(r"Patient/([0-9a-f]{8}[0-9a-f-]*)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ASSIGNMENTS = re.compile(r"^(?:[A-Z][A-Z0-9_]*=\S+\s+)+")


def _commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with its words after ``pmlm``."""
    children = getattr(group, "commands", None)
    if children is None or getattr(group, "invoke_without_command", False):
        yield path, group
    for name, child in (children or {}).items():
        yield from _commands(child, (*path, name))


COMMANDS = dict(_commands(ROOT))


def _lines(page: Path, program: str) -> Iterator[str]:
    """Invocations of ``program`` in the page's code, without variables before and comments after."""
    text = page.read_text()
    code = [line for block in FENCE.findall(text) for line in block.splitlines()]
    for line in [*code, *INLINE.findall(FENCE.sub("", text))]:
        bare = ASSIGNMENTS.sub("", line.strip().removeprefix("$ ")).split("  #")[0].split(" | ")[0]
        if bare == program or bare.startswith(f"{program} "):
            yield bare


def _resolve(invocation: str) -> tuple[click.Command, list[str]]:
    """The command of an invocation and its remaining words; fails on an unknown command."""
    words = shlex.split(invocation.replace("[", "").replace("]", ""))[1:]
    command: click.Command = ROOT
    while words and (children := getattr(command, "commands", None)) is not None and not words[0].startswith("-"):
        assert words[0] in children, f"{invocation!r} names no command: {words[0]}"
        command = children[words.pop(0)]
    return command, words


def _check(invocation: str) -> None:
    command, words = _resolve(invocation)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = {w.split("=")[0] for w in words if w.startswith("--")} - known - {"--help"}
    assert not unknown, f"{invocation!r} names options that do not exist: {sorted(unknown)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_pmlm_command_in_the_text_exists(page: Path) -> None:
    for invocation in _lines(page, "pmlm"):
        _check(invocation)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_make_target_in_the_text_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.M))
    named = {line.split()[1] for line in _lines(page, "make") if len(line.split()) > 1}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if not link.startswith(("http://", "https://", "mailto:")):
            file, _, anchor = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{page.name} links to {link}"
            assert not anchor or anchor in _anchors(target), f"{page.name} links to {link}"


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_of_the_repository_that_is_named_exists(page: Path) -> None:
    folders = {p.name for p in PROJECT.iterdir() if p.is_dir()} - {"state"}
    for name in INLINE.findall(FENCE.sub("", page.read_text())):
        path = name.split("::")[0].rstrip("/")
        if "/" in name and name.split("/")[0] in folders and not re.search(r"[<>{}*… ]", name):
            assert (PROJECT / path).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_every_command_helps_with_an_example_that_exists(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert command.help, "says what it does"
    assert command.epilog, "shows an example"
    examples = re.findall(r"pmlm [^\n`]+", command.epilog)
    assert examples
    for example in examples:
        assert _resolve(example.split("  (")[0])[0] is command
        _check(example)


def test_every_patient_in_an_example_is_in_the_sample_clinic() -> None:
    helps = "\n".join(f"{command.help} {command.epilog}" for command in COMMANDS.values())
    code = [path for package in ("bentos", "pmlm", "examples") for path in (PROJECT / package).rglob("*.py")]
    texts = {str(path.relative_to(PROJECT)): path.read_text() for path in (*PAGES, *code)} | {"--help": helps}
    named = {(place, found) for place, text in texts.items() for found in PATIENT.findall(text)}
    assert {place for place, _ in named} >= {"README.md", "--help", "docs/how-to/drafts.md"}
    sample: set[str] = set()
    for file in (PROJECT / "examples" / "clinic").glob("*/Patient.ndjson.gz"):
        with gzip.open(file, "rt") as lines:
            sample |= set(re.findall(r'"id": ?"([^"]+)"', lines.read()))
    assert ID in sample
    assert {(place, found) for place, found in named if found not in sample} == set()


def test_readme_lists_every_command() -> None:
    text = (PROJECT / "README.md").read_text()
    assert [words for words in COMMANDS if f"`pmlm {' '.join(words)}" not in text] == []


def test_readme_lists_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(PMLM_\w+)` \| (.*?) \|", (PROJECT / "README.md").read_text(), re.M))
    expected = {}
    for name, field in Settings.model_fields.items():
        default = field.default if field.default is not PydanticUndefined else ""
        shown = str(default).replace(str(PROJECT) + "/", "").replace(str(Path.home()), "~")
        expected[f"PMLM_{name.upper()}"] = "none" if default is None else f"`{shown}`"
    assert rows == expected


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """``docs/results.py``, which writes the page of results and its plots."""
    spec = importlib.util.spec_from_file_location("results", PROJECT / "docs" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_results_is_what_was_measured(results: ModuleType) -> None:
    assert (PROJECT / "docs" / "results.md").read_text() == results.render_page()


def test_the_plots_are_what_was_measured(results: ModuleType, tmp_path: Path) -> None:
    results.draw_plots(tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in (PROJECT / "docs" / "plots").iterdir()}


@pytest.mark.parametrize("drawing", sorted((PROJECT / "docs").glob("**/*.svg")), ids=lambda p: p.name)
def test_every_drawing_is_whole_and_loads_nothing(drawing: Path) -> None:
    root = ElementTree.fromstring(drawing.read_bytes())
    assert not re.search(r"url\(['\"]?https?:", drawing.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not (name.endswith("href") and value.startswith("http")), f"loads {value}"


def test_no_page_holds_a_path_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(?:home|work|root|Users)/", page.read_text()), page.name
