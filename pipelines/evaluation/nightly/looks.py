"""Count the looks at the gate split: an append-only file, one line a look.

    history/gate_looks.jsonl   {"night", "champion", "challenger", "evidence"}

A look compares one challenger with one champion on one set of questions (``evidence`` is the hash of the paired
differences). The same comparison again, as in a rerun, is the same look. Restoring a night takes no look back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pmlm.settings import Settings
from pmlm.storage import append_lines, read_json, read_lines


def looks_path(settings: Settings) -> Path:
    return settings.workspace / "history" / "gate_looks.jsonl"


def count_looks(settings: Settings, night: str, champion: str, evaluated: Mapping[str, Any]) -> int:
    """Note tonight's look, and return its number among the champion's looks (1, 2, …); 1 where nothing is compared."""
    if evaluated["status"] != "done":
        return 1
    paired = json.dumps(evaluated["paired"], sort_keys=True)
    evidence = sha256(paired.encode()).hexdigest()[:16]
    look = {"night": night, "champion": champion, "challenger": evaluated["challenger"], "evidence": evidence}
    known = _read_looks(settings)
    ours = [_identify(one) for one in known if one["champion"] == champion]
    if _identify(look) in ours:
        return ours.index(_identify(look)) + 1
    append_lines(looks_path(settings), json.dumps(look) + "\n")
    return len(ours) + 1


def _read_looks(settings: Settings) -> Sequence[Mapping[str, Any]]:
    """Read all looks; on first use the nights that an earlier version judged are written down."""
    path = looks_path(settings)
    if not path.exists():
        judged = sorted((p.parent.name, read_json(p)) for p in settings.runs.glob("*/gate.json"))
        earlier = [
            {"night": night, **{name: run["figures"].get(name) for name in ("champion", "challenger")}, "evidence": ""}
            for night, run in judged
            if run["rows_in"]
        ]
        append_lines(path, "".join(f"{json.dumps(one)}\n" for one in earlier))
    return list(read_lines(path, json.loads))


def _identify(look: Mapping[str, Any]) -> tuple[str, str]:
    return str(look["challenger"]), str(look["evidence"])
