"""Places are limited, and given back once."""

from __future__ import annotations

import pytest

from bentos.openai.admission import Admission
from bentos.openai.chat.errors import GatewayError


def test_places_are_counted_and_given_back_once() -> None:
    admission = Admission(queue=1, inside=2)
    first = admission.enter()
    with pytest.raises(GatewayError) as full:
        admission.enter()
    assert (full.value.status, full.value.headers) == (503, {"retry-after": "1"})
    first.leave_queue()
    second = admission.enter()
    second.leave_queue()
    with pytest.raises(GatewayError):
        admission.enter()
    for _ in range(3):
        first.leave()
        second.leave()
    assert (admission.waiting, admission.open) == (0, 0)
