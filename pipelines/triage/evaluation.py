"""Measure triage on judged messages: share escalated by label, trap and language.

Run: ``pmlm triage FILE --evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from models.encoder import Encoder
from models.safety.triage.classifier import read_metadata
from models.safety.triage.red_flag_table import load_table as red_flag_table
from models.safety.triage.rules import TriageContext, find_gravest_label, find_red_flags
from pipelines.evaluation.nightly.intervals import wilson_interval

#: The smallest share of emergencies and the largest of routine messages to escalate.
TARGETS = {"emergency": 0.97, "routine": 0.15}


def is_escalated(message: dict[str, Any], encoder: Encoder | None) -> bool:
    """Whether a message is not routine; without ``encoder`` English is judged by rules alone."""
    known = TriageContext(**message.get("context", {}))
    return find_gravest_label(find_red_flags(message["text"], message["lang"], known, encoder)) != "routine"


def build_rows(messages: Sequence[dict[str, Any]], encoder: Encoder) -> list[dict[str, Any]]:
    """One row per group (all, by language, by trap) and label: the share escalated."""
    judged = [(m, is_escalated(m, encoder)) for m in messages]
    found = [_build_row("all", label, judged) for label in ("emergency", "urgent", "routine")]
    for key in ("lang", "trap"):
        for value in sorted({m[key] for m in messages if key in m}):
            part = [(m, hit) for m, hit in judged if m.get(key) == value]
            found += [_build_row(f"{key} {value}", label, part) for label in ("emergency", "urgent", "routine")]
    return [row for row in found if row["n"]]


def _build_row(name: str, label: str, judged: Iterable[tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    hits = [hit for m, hit in judged if m["label"] == label]
    low, high = wilson_interval(sum(hits), len(hits)) if hits else (0.0, 1.0)
    share = sum(hits) / len(hits) if hits else 0.0
    target = TARGETS.get(label)
    holds = None if target is None else (share >= target if label == "emergency" else share <= target)
    return {
        "name": name, "label": label, "escalated": sum(hits), "n": len(hits), "share": round(share, 3),
        "low": round(low, 3), "high": round(high, 3), "target": target, "holds": holds,
    }  # fmt: skip


def format_table(found: Sequence[dict[str, Any]]) -> str:
    """Format the rows as a text table."""
    head = f"{'messages':<22}{'label':<11}{'escalated':>12}{'share':>8}  95 % interval"
    lines = [
        f"{r['name']:<22}{r['label']:<11}{r['escalated']:>6}/{r['n']:<5}{r['share']:>8.2f}"
        f"  {r['low']:.2f}–{r['high']:.2f}"
        for r in found
    ]
    return "\n".join([head, *lines, f"rules {read_versions()['rules']}, classifier {read_versions()['classifier']}"])


def read_versions() -> dict[str, str]:
    """Read the versions of the rules and of the classifier."""
    return {"rules": str(red_flag_table()["version"]), "classifier": read_metadata()["version"]}
