"""How triage does on judged messages: the share escalated, by label, trap and language, with Wilson's interval.

p ± : (p̂ + z²/2n ± z √(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n),   z = 1.96
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from models.encoder import Encoder
from models.safety.answer_check import Context, label_of, red_flags
from models.safety.triage.classifier import metadata
from models.safety.triage.red_flag_table import table as red_flag_table

Z = 1.96
#: At least so many emergencies escalated, at most so many routine messages.
TARGETS = {"emergency": 0.97, "routine": 0.15}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share; n > 0."""
    share, square = hits / n, Z * Z
    middle = share + square / (2 * n)
    reach = Z * (share * (1 - share) / n + square / (4 * n * n)) ** 0.5
    return max(0.0, (middle - reach) / (1 + square / n)), min(1.0, (middle + reach) / (1 + square / n))


def escalated(message: dict[str, Any], encoder: Encoder | None) -> bool:
    """Whether a message gets anything but routine; without ``encoder`` by the rules (and in Chinese the classifier)."""
    known = Context(**message.get("context", {}))
    return label_of(red_flags(message["text"], message["lang"], known, encoder)) != "routine"


def rows(messages: Sequence[dict[str, Any]], encoder: Encoder) -> list[dict[str, Any]]:
    """One row a group of messages: all, by language, by trap; shares of escalated ones by the messages' own label."""
    judged = [(m, escalated(m, encoder)) for m in messages]
    found = [_row("all", label, judged) for label in ("emergency", "urgent", "routine")]
    for key in ("lang", "trap"):
        for value in sorted({m[key] for m in messages if key in m}):
            part = [(m, hit) for m, hit in judged if m.get(key) == value]
            found += [_row(f"{key} {value}", label, part) for label in ("emergency", "urgent", "routine")]
    return [row for row in found if row["n"]]


def _row(name: str, label: str, judged: Iterable[tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    hits = [hit for m, hit in judged if m["label"] == label]
    low, high = wilson(sum(hits), len(hits)) if hits else (0.0, 1.0)
    share = sum(hits) / len(hits) if hits else 0.0
    target = TARGETS.get(label)
    holds = None if target is None else (share >= target if label == "emergency" else share <= target)
    return {
        "name": name, "label": label, "escalated": sum(hits), "n": len(hits), "share": round(share, 3),
        "low": round(low, 3), "high": round(high, 3), "target": target, "holds": holds,
    }  # fmt: skip


def table(found: Sequence[dict[str, Any]]) -> str:
    """The rows as a table for a screen."""
    head = f"{'messages':<22}{'label':<11}{'escalated':>12}{'share':>8}  95 % interval"
    lines = [
        f"{r['name']:<22}{r['label']:<11}{r['escalated']:>6}/{r['n']:<5}{r['share']:>8.2f}"
        f"  {r['low']:.2f}–{r['high']:.2f}"
        for r in found
    ]
    return "\n".join([head, *lines, f"rules {versions()['rules']}, classifier {versions()['classifier']}"])


def versions() -> dict[str, str]:
    """The versions of the rules and of the classifier."""
    return {"rules": str(red_flag_table()["version"]), "classifier": metadata()["version"]}
