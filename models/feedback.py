"""Turn feedback on an answer into points, with a cap per person.

    points: a rating is worth itself (1 to 5), a thumb or a preference one step to either side of the middle, 4 or 2
    counted(F) = of each (voice, patient, day) the first n answers rated, each by its last feedback

1. The paper learns from clinicians' replies and names no feedback.
2. The caps keep one person, and one client that names many, from teaching the policy or a patient's preferences alone.
3. The program's log-probability is stored with the points, so that an off-policy estimate (importance weights
   π_new / π_logged) can be made from it.

Run: ``pmlm evaluate`` (row 10).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Literal

Giver = Literal["patient", "clinician"]
FeedbackKind = Literal["rating", "thumbs", "preferred", "edit", "comment", "card", "draft"]
DraftOutcome = Literal["accepted", "edited", "rejected"]

THUMB_POINTS: dict[str, float] = {"up": 4.0, "down": 2.0}
PREFERRED_POINTS, OTHER_POINTS = 4.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One signal about one answer; a line of the reward log.

    ``at`` is the clinic's clock, ``received`` the wall clock. ``giver`` is a keyed hash of the person, ``client`` of
    the client whose token it came with; older lines have none. ``points`` is None for a text alone. ``picks``,
    ``style`` and ``log_prob`` are the answer's edit program, ``refiner`` and ``release`` what chose it. ``reason`` is
    why a card was overridden, one of the codes it offered. Of a draft's sentence, ``sentence`` is the name and
    ``outcome`` what the clinician did with it.
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
    client: int | None = None
    sentence: str | None = None
    outcome: DraftOutcome | None = None

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


class DailyCap:
    """What of one day's feedback counts; what counts already is not pushed out by what comes later.

    One voice (a patient through one client, or one clinician) counts for ``most`` answers of a patient; an answer
    counts by ``most`` voices of a client, and all voices of a client for ``most`` times ``most`` judgements of a
    patient. So no client counts for more by naming other persons.
    """

    def __init__(self, most: int) -> None:
        self._limits = (most, most, most * most)
        self._counted: dict[tuple[object, ...], set[tuple[object, ...]]] = {}

    def admits(self, feedback: Sequence[Feedback]) -> bool:
        """Whether all of these are within the caps; if so, count them."""
        trial: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
        for one in feedback:
            client, voice = find_client(one), find_voice(one)
            cells = (("voice", *voice), ("answer", client, one.answer), ("patient", client, one.subject))
            judgements = ((one.answer,), voice, (*voice, one.answer))
            for cell, judgement, limit in zip(cells, judgements, self._limits, strict=True):
                judged = trial.setdefault(cell, set(self._counted.get(cell, ())))
                judged.add(judgement)
                if len(judged) > limit:
                    return False
        self._counted |= trial
        return True


def find_voice(one: Feedback) -> tuple[object, ...]:
    """Whose opinion it is: of a patient there is one, however many persons a client names."""
    return (one.by, one.subject, find_client(one) if one.by == "patient" else one.giver)


def find_client(one: Feedback) -> int:
    """The client whose token the feedback came with; of an older line the giver."""
    return one.giver if one.client is None else one.client


def cap_feedback(feedback: Iterable[Feedback], most: int) -> tuple[list[Feedback], int]:
    """Select one day's feedback within the caps, and count the judgements of answers beyond them.

    Where a voice judged an answer more than once, the latest signal of each kind counts: points (a rating, a thumb, a
    preference or a card), an edit, and each sentence of a draft.
    """
    cap = DailyCap(most)
    latest: dict[tuple[object, ...], Feedback] = {}
    beyond: set[tuple[object, ...]] = set()
    for one in sorted(feedback, key=lambda f: (f.received, f.id)):
        judgement = (*find_voice(one), one.answer)
        if not cap.admits([one]):
            beyond.add(judgement)
        elif one.kind != "comment":
            latest[(*judgement, one.kind == "edit", one.sentence)] = one
    return sorted(latest.values(), key=lambda f: (f.received, f.id)), len(beyond)
