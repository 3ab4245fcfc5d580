"""Write down every change of the champion: who, when, from, to, why; chained, never rewritten.

    history/champions.jsonl    chain(n) = HMAC-SHA256(clinic's key, chain(n − 1) ‖ line n without its chain)

Versions are semantic: the first champion is v1.0.0, a promotion by the gate raises the minor number, one by a person
the major number, and a rollback goes back to the version that it restores. A champion that changed without a line (a
process killed between the two, an earlier version of this software) is written down with the next change.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pmlm.settings import Settings
from pmlm.storage import append_lines

Action = Literal["first", "promote", "rollback", "restore", "found"]
GATE = "gate"  # who promotes by the plan
UNKNOWN = "unknown"
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class ChampionChange:
    """One line of the history; ``before`` and ``after`` are refiners' ids, ``night`` that of the decision."""

    seq: int
    at: str
    by: str
    action: Action
    before: str | None
    after: str
    version: str
    why: str
    night: str
    chain: str = ""


def history_path(settings: Settings) -> Path:
    return settings.workspace / "history" / "champions.jsonl"


def read_history(settings: Settings) -> list[ChampionChange]:
    """Read all whole lines, oldest first; :func:`find_tampering` says whether they are as they were written."""
    path = history_path(settings)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [change for change in map(_parse, lines) if change is not None]


def record_change(
    settings: Settings, action: Action, before: str | None, after: str, *, by: str, why: str, night: str
) -> ChampionChange:
    """Append a change; the same champion again is the same change."""
    known = read_history(settings)
    if known and known[-1].after == after:
        return known[-1]
    if before is not None and (not known or known[-1].after != before):
        found = "what was champion when this history was next written"
        known.append(
            _append(settings, known, "found", known[-1].after if known else None, before, UNKNOWN, found, night)
        )
    return _append(settings, known, action, before, after, by, why, night)


def find_tampering(settings: Settings) -> list[str]:
    """Find lines that were changed, removed, moved or torn, one finding a line; empty where there are none."""
    path, former = history_path(settings), ""
    findings: list[str] = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        change = _parse(line)
        if change is None:
            findings.append(f"line {number} is torn")
            continue
        if change.seq != number - sum("torn" in f for f in findings):
            findings.append(f"line {number}: number {change.seq} is out of order")
        if not hmac.compare_digest(_compute_chain(settings, former, change), change.chain):
            findings.append(f"line {number}: change {change.seq} is not as it was written, or follows another line")
        former = change.chain
    return findings


def _append(
    settings: Settings,
    known: Sequence[ChampionChange],
    action: Action,
    before: str | None,
    after: str,
    by: str,
    why: str,
    night: str,
) -> ChampionChange:
    at, version = datetime.now(UTC).isoformat(timespec="seconds"), _number_version(known, after, by)
    made = ChampionChange(len(known) + 1, at, by, action, before, after, version, why, night)
    made = replace(made, chain=_compute_chain(settings, known[-1].chain if known else "", made))
    append_lines(history_path(settings), json.dumps(asdict(made), ensure_ascii=False) + "\n")
    return made


def _number_version(known: Sequence[ChampionChange], after: str, by: str) -> str:
    """The version of a refiner: its own where it has been champion, else the next."""
    own = next((change.version for change in known if change.after == after), None)
    if own is not None:
        return own
    numbers = [tuple(map(int, found.groups())) for c in known if (found := _VERSION.fullmatch(c.version))]
    if not numbers:
        return "v1.0.0"
    major, minor, _ = max(numbers)
    return f"v{major}.{minor + 1}.0" if by in (GATE, UNKNOWN) else f"v{major + 1}.0.0"


def _compute_chain(settings: Settings, former: str, change: ChampionChange) -> str:
    body = json.dumps(asdict(replace(change, chain="")), sort_keys=True, ensure_ascii=False)
    return hmac.new(settings.hash_key, f"{former}\n{body}".encode(), sha256).hexdigest()[:32]


def _parse(line: str) -> ChampionChange | None:
    try:
        return ChampionChange(**json.loads(line))
    except (ValueError, TypeError):
        return None
