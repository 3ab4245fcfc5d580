"""Turn feedback on an answer into points, with a cap per person.

    points: a rating is worth itself (1 to 5), a thumb or a preference one step to either side of the middle, 4 or 2
    counted(F) = of each (giver, patient, day) the first n answers rated, each by its last feedback

1. The paper learns from clinicians' replies and names no feedback.
2. The cap keeps one person from teaching the policy or a patient's preferences alone.
3. The program's log-probability is stored with the points, so that an off-policy estimate (importance weights
   π_new / π_logged) can be made from it.

Run: ``pmlm evaluate`` (row 10).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Literal

Giver = Literal["patient", "clinician"]
FeedbackKind = Literal["rating", "thumbs", "preferred", "edit", "comment", "card"]

THUMB_POINTS: dict[str, float] = {"up": 4.0, "down": 2.0}
PREFERRED_POINTS, OTHER_POINTS = 4.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One signal about one answer; a line of the reward log.

    ``at`` is the clinic's clock, ``received`` the wall clock. ``giver`` is a keyed hash of the person. ``points`` is
    None for a text alone. ``picks``, ``style`` and ``log_prob`` are the answer's edit program, ``refiner`` and
    ``release`` what chose it. ``reason`` is why a card was overridden, one of the codes it offered.
    """

    id: str
    answer: str
    subject: int
    at: datetime
    received: datetime
    giver: int
    by: Giver
    kind: FeedbackKind
    points: float | None
    picks: tuple[str, ...]
    style: str
    log_prob: float
    refiner: str
    release: str
    endpoint: str
    reason: str | None = None

    def line(self) -> str:
        """Format as one line of the log, without a newline."""
        value = asdict(self) | {"at": self.at.isoformat(), "received": self.received.isoformat()}
        return json.dumps(value, ensure_ascii=False, sort_keys=True)


_NAMES = frozenset(f.name for f in fields(Feedback))


def parse_feedback(line: str | bytes) -> Feedback:
    """Parse a line of the log; ``ValueError`` for a line that a crash has cut."""
    try:
        value = {name: v for name, v in json.loads(line).items() if name in _NAMES}
        times = {name: datetime.fromisoformat(value[name]) for name in ("at", "received")}
        return Feedback(**value | times | {"picks": tuple(value["picks"])})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("no line of feedback") from error


def cap_feedback(feedback: Iterable[Feedback], most: int) -> tuple[list[Feedback], int]:
    """Select one day's feedback within the cap, and count the answers beyond it.

    Where a giver judged an answer more than once, the latest signal of each kind counts: points (a rating, a thumb, a
    preference or a card) and an edit. ``most`` bounds the answers per giver and patient.
    """
    answers: dict[tuple[int, int], dict[str, None]] = {}
    latest: dict[tuple[int, int, str, bool], Feedback] = {}
    for one in sorted(feedback, key=lambda f: (f.received, f.id)):
        answers.setdefault((one.giver, one.subject), {}).setdefault(one.answer)
        if one.kind != "comment":
            latest[(one.giver, one.subject, one.answer, one.kind == "edit")] = one
    allowed = {(*who, answer) for who, judged in answers.items() for answer in list(judged)[:most]}
    beyond = sum(max(0, len(judged) - most) for judged in answers.values())
    selected = [one for (*which, _), one in latest.items() if tuple(which) in allowed]
    return sorted(selected, key=lambda f: (f.received, f.id)), beyond
