"""Facts that a clinician calls wrong, and what follows from it.

    a disputed fact is in no prompt    until a new record states it again
    an allergy stays                   whoever disputes it

1. The paper has no way to contradict a record. Here a clinician names one fact by its key; the night that follows marks
   the entries behind it. What is disputed is neither stated nor denied: its absence is no fact either.
2. A disputed condition is like a suspected one whose name bears a mark; a disputed medicine bears the mark; a disputed
   value or statement is of a kind that no feature reads, so that the value before it counts again.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime

DISPUTE_KIND = "dispute"
#: After the name of a disputed entry: no record can write it, since control characters never pass into a name.
MARK = "\x1fdisputed"
#: Lists of beliefs, as keys begin: ``condition:SNOMED//38341003``, ``signal:weight``, ``dating``.
LISTS = ("allergy", "condition", "medicine", "suspected", "entry", "signal", "dating", "pregnancy")
#: Of an entry that is not current its list is not named: a medicine or a condition of its code.
_GROUPS = {"medicine": ("medicine", "entry"), "condition": ("condition", "suspected", "entry")}
#: Kinds of which an entry of the same code is meant, whichever record states it.
_BY_CODE = ("condition", "condition.suspected", "medicine")
#: What any entry may state: a condition too, as Z3A.30 states a week. The entries that it was read from are meant.
_BY_SOURCE = ("pregnancy", "dating")
#: Kinds that a dispute moves out of every feature.
_HIDDEN = ("observation", "episode", "procedure")
_SUFFIX = ".disputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One fact called wrong; a line of the disputes' log.

    ``at`` is the clinic's clock, ``received`` the wall clock. ``giver`` and ``client`` are keyed hashes. ``codes`` and
    ``sources`` are those of the entries that the fact was read from.
    """

    id: str
    subject: int
    at: datetime
    received: datetime
    giver: int
    client: int
    key: str
    codes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def line(self) -> str:
        """Format as one line of the log, without a newline."""
        value = asdict(self) | {"at": self.at.isoformat(), "received": self.received.isoformat()}
        return json.dumps(value, ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class StatedDispute:
    """A dispute as the event log has it: the fact's key, when it was disputed, the id of its correction."""

    key: str
    at: datetime
    id: str


_NAMES = frozenset(f.name for f in fields(Dispute))


def parse_dispute(line: str | bytes) -> Dispute:
    """Parse a line of the log; ``ValueError`` for a line that a crash has cut."""
    try:
        value = {name: v for name, v in json.loads(line).items() if name in _NAMES}
        times = {name: datetime.fromisoformat(value[name]) for name in ("at", "received")}
        lists = {name: tuple(value.get(name, ())) for name in ("codes", "sources")}
        return Dispute(**value | times | lists)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("no line of a dispute") from error


def make_key(group: str, name: str) -> str:
    """The key of one fact of a list."""
    return f"{group}:{name}"


def list_groups(group: str) -> tuple[str, ...]:
    """The groups under which a fact of a group may be disputed."""
    return _GROUPS.get("condition" if group == "suspected" else group, (group,))


def concerns(dispute: Dispute, kind: str, code: str, source: str) -> bool:
    """Whether an event of the patient is one that the dispute calls wrong; never one of an allergy."""
    if kind in _BY_CODE:
        group = dispute.key.partition(":")[0]
        same = group in list_groups(kind.partition(".")[0])
        return (same and code in dispute.codes) or (group in _BY_SOURCE and source in dispute.sources)
    return kind in _HIDDEN and source in dispute.sources and (not dispute.codes or code in dispute.codes)


def mark_disputed(kind: str, code: str, text: str | None) -> tuple[str, str | None]:
    """Kind and text of a disputed event."""
    if kind in _HIDDEN:
        return f"{kind}{_SUFFIX}", text
    return "medicine" if kind == "medicine" else "condition.suspected", f"{text or code}{MARK}"


def is_hidden(kind: str) -> bool:
    """Whether a disputed event of this kind is no fact any more."""
    return kind.endswith(_SUFFIX)


def is_disputed(text: str) -> bool:
    """Whether the name of an entry bears the mark."""
    return text.endswith(MARK)


def strip_mark(text: str) -> str:
    """The name without the mark."""
    return text.removesuffix(MARK)


def format_statement(dispute: Dispute) -> str:
    """The text of the event that a dispute becomes."""
    return f"{dispute.key} {dispute.id}"


def read_statements(events: Iterable[tuple[str, datetime]]) -> list[StatedDispute]:
    """The disputes of (text, time), the latest of each fact, oldest first."""
    latest: dict[str, StatedDispute] = {}
    for text, at in sorted(events, key=lambda e: (e[1], e[0])):
        key, _, ident = text.rpartition(" ")
        latest[key] = StatedDispute(key, at, ident)
    return sorted(latest.values(), key=lambda d: (d.at, d.key))
