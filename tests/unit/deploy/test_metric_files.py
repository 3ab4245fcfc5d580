"""The dashboard and the alert rules name metrics and labels that the endpoint or the monitor exposes.

``promtool`` is not part of this project's environment: what stands here checks names, labels, brackets and durations,
and not that Prometheus would accept every expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CollectorRegistry

from bentos.telemetry import metrics
from pipelines.monitoring.traffic import measure_hour, render_textfile
from pmlm.cli.main import app
from pmlm.settings import PROJECT

RULES = yaml.safe_load((PROJECT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"]
DASHBOARD = json.loads((PROJECT / "deploy" / "grafana" / "pmlm.json").read_text())
ALERTS = [rule for group in RULES for rule in group["rules"]]
TARGETS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [*((rule["alert"], rule["expr"]) for rule in ALERTS), *TARGETS]
FUNCTIONS = {"sum", "rate", "increase", "histogram_quantile", "by", "and"}
SUFFIXES: dict[type, tuple[str, ...]] = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
OWN = {"up": {"job", "instance"}}  # Prometheus's own


def list_exposed() -> Iterator[tuple[str, set[str]]]:
    """Each exposed sample with its labels: the endpoint's, the monitor's textfile's, Prometheus's own."""
    yield from OWN.items()
    for metric in vars(metrics).values():
        for suffix in SUFFIXES.get(type(metric), ()):
            labels = set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
            yield f"{metric._name}{suffix}", labels
    line = {"seconds": {"llm": 1.0}, "kept": [], "candidates": 1, "signs": [], "personalization": "full"}
    for name in re.findall(r"^(pmlm_hour_\w+)\{", render_textfile("clinic", measure_hour([line])), re.M):
        yield name, {"clinic"}


EXPOSED = dict(list_exposed())


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_each_expression_names_what_is_exposed_by_labels_that_it_has(title: str, expression: str) -> None:
    assert find_faults(expression) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(pmlm_request_total[5m]))", "pmlm_request_total is not exposed"),
        ("sum by (root) (rate(pmlm_requests_total[5m]))", "root is no label"),
        ('sum(rate(pmlm_requests_total{code="500"}[5m]))', "code is no label"),
        ("sum(rate(pmlm_requests_total[5m])", "brackets"),
        ("sum(rate(pmlm_requests_total))", "rate needs a duration"),
        ("sum(pmlm_requests_running[5x])", "5x is no duration"),
        ("summ(pmlm_requests_running)", "summ is no function"),
    ],
)
def test_the_check_finds_what_is_wrong(expression: str, fault: str) -> None:
    assert any(fault in found for found in find_faults(expression)), find_faults(expression)


def test_a_counter_is_exposed_under_the_name_that_the_files_use() -> None:
    registry = CollectorRegistry()
    registry.register(metrics.REQUESTS)
    metrics.REQUESTS.labels("/livez", "GET", "200").inc(0)
    assert 'pmlm_requests_total{method="GET",route="/livez",status="200"}' in generate_latest(registry).decode()


def test_every_alert_has_a_name_of_its_own_words_and_a_command_that_exists() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    commands = typer.main.get_command(app)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        assert rule["annotations"]["summary"].endswith(".")
        command: Any = commands
        for word in rule["annotations"]["command"].split()[1:]:
            command = command.commands[word]


def test_every_panel_has_a_place_of_its_own_and_asks_the_chosen_source() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(set(places)) == len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    sources = {t["datasource"]["uid"] for p in DASHBOARD["panels"] for t in p["targets"]}
    assert sources == {"${source}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["source"]


def test_every_metric_of_the_endpoint_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in TARGETS)
    names = {metric._name for metric in vars(metrics).values() if type(metric) in SUFFIXES}
    assert [name for name in sorted(names) if name not in shown] == []


def find_faults(expression: str) -> list[str]:
    """What is wrong with a PromQL expression, as far as names, labels, brackets and durations go."""
    faults = [f"{text} is no duration" for text in re.findall(r"\[([^\]]*)\]", expression) if not is_duration(text)]
    faults += [] if is_balanced(expression) else ["brackets are not balanced"]
    faults += [f"{name} needs a duration" for name in re.findall(r"\b(rate|increase)\([^\[()]*\)", expression)]
    bare = re.sub(r'"[^"]*"', '""', expression)
    names = re.findall(r"\b(?:pmlm_\w+|up)\b", bare)
    faults += [f"{name} is not exposed" for name in names if name not in EXPOSED]
    labels = {label for name in names for label in EXPOSED.get(name, ())}
    used = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare)
    used += [label.strip() for group in re.findall(r"\bby\s*\(([^)]*)\)", bare) for label in group.split(",")]
    faults += [f"{label} is no label of {names}" for label in used if label not in labels]
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby\s*\([^)]*\)", " ", bare)
    words = set(re.findall(r"\b[a-z_]\w*\b", rest)) - set(names) - FUNCTIONS
    return [*faults, *(f"{word} is no function" for word in sorted(words))]


def is_duration(text: str) -> bool:
    return re.fullmatch(r"\d+[smhdw]", text) is not None


def is_balanced(expression: str) -> bool:
    """Whether each bracket is closed by one of its kind, outside of strings."""
    pairs, opened = {")": "(", "]": "[", "}": "{"}, list[str]()
    for sign in re.sub(r'"[^"]*"', "", expression):
        if sign in pairs.values():
            opened.append(sign)
        elif sign in pairs and (not opened or opened.pop() != pairs[sign]):
            return False
    return not opened
