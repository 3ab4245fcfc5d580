"""What the Responses API costs beside the chat that it shares its way with."""

from __future__ import annotations

from typing import Any

from benchmarks.serving.figures import compute_added_latency, percentile, row
from benchmarks.serving.load import Load, Target, load_in_turns, run_closed_loop
from benchmarks.serving.questions import chats, questions, responses

ONE, MANY = 1, 50


def whole_response(body: bytes) -> bool:
    """Whether a response says how it ended."""
    return b'"status":"completed"' in body.replace(b'": "', b'":"')


def measure_responses(chat: Target, patients: list[str], share: float) -> list[dict[str, Any]]:
    """The same questions by ``/v1/responses`` and by ``/v1/chat/completions``, in turns."""
    target = Target(chat.url.replace("/chat/completions", "/responses"), chat.headers, whole_response)
    bodies = {
        "chat": (chat, chats(patients, questions(500_000))),
        "responses": (target, responses(patients, questions(550_000))),
    }
    for one, asked in bodies.values():
        run_closed_loop(one, asked, MANY, 200)
    return [
        *_build_rows(load_in_turns(bodies, ONE, dict.fromkeys(bodies, 400), share), ONE),
        *_build_rows(load_in_turns(bodies, MANY, dict.fromkeys(bodies, 1000), share), MANY),
    ]


def _build_rows(loads: dict[str, Load], clients: int) -> list[dict[str, Any]]:
    ours, chat = loads["responses"], loads["chat"]
    rows = [
        row(f"responses.rate.{clients}", ours.rate, "requests/s", len(ours.served), baseline=chat.rate,
            failed=ours.failed + len(ours.shed)),
    ]  # fmt: skip
    for q in (50, 99):
        _, interval = compute_added_latency(ours.times, chat.times, q)
        rows.append(
            row(f"responses.p{q}.{clients}", 1e3 * percentile(ours.times, q), "ms", len(ours.served),
                baseline=1e3 * percentile(chat.times, q), more_than_chat_ms=interval)
        )  # fmt: skip
    return rows
