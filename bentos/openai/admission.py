"""How many requests may be inside at once: beyond that the endpoint says so at once instead of letting them wait."""

from __future__ import annotations

from http import HTTPStatus

from bentos.openai.errors import GatewayError

RETRY_AFTER_S = 1


class Admission:
    """Counts requests that wait for their prompt (at most ``queue``) and all that are inside (at most ``inside``)."""

    def __init__(self, queue: int, inside: int) -> None:
        self._queue = queue
        self._inside = inside
        self.waiting = 0
        self.open = 0

    def refusal(self) -> GatewayError | None:
        """503, with when to try again, where there is no place."""
        if self.waiting < self._queue and self.open < self._inside:
            return None
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return GatewayError(status, "too many requests at once", code="overloaded", retry_after=RETRY_AFTER_S)

    def enter(self) -> Ticket:
        """A place; raises the :meth:`refusal` where there is none."""
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        return Ticket(self)


class Ticket:
    """One request's place: waiting for its prompt until :meth:`prepared`, inside until :meth:`leave`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._waiting = self._open = True
        admission.waiting += 1
        admission.open += 1

    def prepared(self) -> None:
        if self._waiting:
            self._waiting = False
            self._admission.waiting -= 1

    def leave(self) -> None:
        """Give the place back; harmless when repeated."""
        self.prepared()
        if self._open:
            self._open = False
            self._admission.open -= 1
