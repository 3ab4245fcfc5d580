"""Record an answer before it is sent: in the interaction log, and for ``/explain``.

An answer that cannot be recorded is not given, with one exception: a safety message (an escalation, a card about a
critical value or a dangerous order) is sent all the same, and says so (``degraded``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, TypeVar

from bentos.auth import audit
from bentos.personalizer.explanations import Explanations
from bentos.personalizer.interaction_log import Interaction, InteractionLog
from bentos.recording.store_writer import PendingWrite, StoreWriter, await_writes, wait_for_writes
from pmlm.api_types import PersonalizeResponse
from pmlm.errors import RecordUnavailableError
from pmlm.settings import Settings

R = TypeVar("R", bound=PersonalizeResponse)


class Recorder:
    """The two stores of one clinic's answers, each with its own writer."""

    def __init__(self, settings: Settings, explanations: Explanations) -> None:
        self._explanations = explanations
        self._log = InteractionLog(settings.workspace / "interactions")
        self._explanation_writer = StoreWriter("explanations")
        self._log_writer = StoreWriter("interactions")

    def record(self, subject: int, interaction: Interaction, response: R, *, safety: bool = False) -> R:
        """``response`` as it may be sent, recorded; :class:`RecordUnavailableError` where it may not.

        ``safety``: it is a safety message, whether or not it has an escalation.
        """
        pending = self._submit(subject, interaction, response, safety=safety)
        wait_for_writes(pending)
        return _judge(pending, response)

    async def record_async(self, subject: int, interaction: Interaction, response: R) -> R:
        """:meth:`record` for a caller on the event loop, which never blocks."""
        pending = self._submit(subject, interaction, response)
        await await_writes(pending)
        return _judge(pending, response)

    async def prepare(self, subject: int, endpoint: str, response: R) -> R:
        """Store how an answer is being made before its first word is shown; returns and raises as :meth:`record`.

        Of the interaction log only what can be known without writing is known: whether a line could be appended.
        """
        persist = _mark_safety(response, safety=False)
        add = partial(self._explanations.add, subject, endpoint, response)
        pending = [
            self._explanation_writer.submit(add, persist=persist),
            self._log_writer.submit(self._log.check, persist=persist),
        ]
        await await_writes(pending)
        return _judge(pending, response)

    def record_card(self, subject: int, response: PersonalizeResponse) -> None:
        """Store how a card came about, for feedback on it; the card is shown either way."""
        write = partial(self._explanations.add, subject, "cds/card", response)
        pending = [self._explanation_writer.submit(write, persist=True)]
        wait_for_writes(pending)
        _judge(pending, response)

    def _submit(
        self, subject: int, interaction: Interaction, response: PersonalizeResponse, *, safety: bool = False
    ) -> list[PendingWrite]:
        persist = _mark_safety(response, safety=safety)
        add = partial(self._explanations.add, subject, interaction.endpoint, response)
        return [
            self._explanation_writer.submit(add, persist=persist),
            self._log_writer.submit(partial(self._log.append, interaction), persist=persist),
        ]


def _mark_safety(response: PersonalizeResponse, *, safety: bool) -> bool:
    """Whether the response is a safety message; then the request's access is recorded as one."""
    if safety or response.escalation is not None:
        audit.mark_safety_message()
        return True
    return False


def _judge(pending: Sequence[PendingWrite], response: R) -> R:
    """The response if it may be sent: recorded, or a safety message that says that it is not."""
    failed = [one.failed() for one in pending]
    if not any(failed):
        return response
    if not all(one.persist for one in pending):
        raise RecordUnavailableError
    audit.mark_unrecorded()
    return response.model_copy(update={"degraded": mark_unrecorded(response.degraded)})


def mark_unrecorded(degraded: str | None) -> Literal["record", "features,record"]:
    """What ``degraded`` says of an answer that was not recorded."""
    return "features,record" if degraded and degraded.startswith("features") else "record"
