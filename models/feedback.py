"""What people say of an answer, as a signal: its worth in points, and how much one of them may count.

    points: a rating is worth itself (1 to 5), a thumb or a preference one step to either side of the middle, 4 or 2
    counted(F) = of each (giver, patient, day) the first n answers spoken of, each by the last thing said of it

The paper learns from clinicians' replies and names no feedback. Ours must not let one loud voice teach the policy or
her preferences, hence the cap; and it keeps the program's log-probability beside the points, so that an off-policy
estimate (importance weights π_new / π_logged) can be made of it.
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
MIN_POINTS, MAX_POINTS = 1.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One thing said of one answer; a line of the reward log.

    ``at`` is the clinic's clock, ``received`` the wall's. ``giver`` is a keyed hash of who said it. ``points`` is None
    for a text alone. ``picks``, ``style`` and ``log_prob`` are the answer's edit program, ``refiner`` and ``release``
    what chose it. ``reason`` is why a card was overridden, one of the codes it offered.
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
        """The line of the log, without its end."""
        value = asdict(self) | {"at": self.at.isoformat(), "received": self.received.isoformat()}
        return json.dumps(value, ensure_ascii=False, sort_keys=True)


_NAMES = frozenset(f.name for f in fields(Feedback))


def parse_feedback(line: str) -> Feedback:
    """A line of the log; ``ValueError`` for what is none (a line that a crash has cut)."""
    try:
        value = {name: v for name, v in json.loads(line).items() if name in _NAMES}
        times = {name: datetime.fromisoformat(value[name]) for name in ("at", "received")}
        return Feedback(**value | times | {"picks": tuple(value["picks"])})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("no line of feedback") from error


def cap_feedback(said: Iterable[Feedback], most: int) -> tuple[list[Feedback], int]:
    """What counts of one day's feedback, in order of time, and how many answers went beyond the cap.

    Of an answer that a giver spoke of more than once, the last word of each kind of signal counts: points (a rating, a
    thumb, a preference or a card) and an edit. ``most`` bounds the answers of one patient that one giver may speak of.
    """
    answers: dict[tuple[int, int], dict[str, None]] = {}
    latest: dict[tuple[int, int, str, bool], Feedback] = {}
    for one in sorted(said, key=lambda f: (f.received, f.id)):
        answers.setdefault((one.giver, one.subject), {}).setdefault(one.answer)
        if one.kind != "comment":
            latest[(one.giver, one.subject, one.answer, one.kind == "edit")] = one
    allowed = {(*who, answer) for who, heard in answers.items() for answer in list(heard)[:most]}
    beyond = sum(max(0, len(heard) - most) for heard in answers.values())
    kept = [one for (*which, _), one in latest.items() if tuple(which) in allowed]
    return sorted(kept, key=lambda f: (f.received, f.id)), beyond
