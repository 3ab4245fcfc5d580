"""Score a clinician's reply through a server that returns log-probabilities of given text.

    log p(y | p, q) = Σ_t log p_server(y_t | chat(p, q), y_<t)        summed per reply sentence

as in ``models/reward/embedded_scorer.py``, with another frozen model. Two protocols: vLLM's chat endpoint with
``prompt_logprobs`` (the server's chat format), and completions with ``echo`` (our chat format: ChatML or a Jinja file).

Run: ``pmlm train`` with ``PMLM_SCORER=vllm`` or ``completions``, ``PMLM_SCORER_BASE_URL`` and ``PMLM_SCORER_MODEL``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import jinja2.sandbox
import stamina

from models.llm import escape_chat_markers
from models.reward import token_alignment
from models.reward.request_pool import ScorerError, score_concurrently
from models.reward.terms import SentenceScores, Trial

CHATML = "<|im_start|>system\n{{ system }}<|im_end|>\n<|im_start|>user\n{{ user }}<|im_end|>\n<|im_start|>assistant\n"
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # status codes worth a retry
ATTEMPTS = 5
LONGEST_REASON = 300  # characters of the server's message
#: Longest run of characters of a sent text that a message may repeat: of a short text, of a longer one.
SHORTEST_QUOTE, LONGEST_QUOTE = 8, 24

ServerKind = Literal["vllm", "completions"]


class _TransientError(ScorerError):
    """A failure worth a retry."""


@dataclass(frozen=True, slots=True)
class ScoringServer:
    """Address and model of a server, timeout (s) and number of concurrent requests."""

    base_url: str
    model: str
    api_key: str | None = None
    timeout: float = 60.0
    at_once: int = 8
    first_wait: float = 0.5  # seconds before the second attempt; then twice as long each


class ServerScorer:
    """Scores trials over HTTP; ``template`` is the Jinja chat format of ``completions``."""

    def __init__(self, kind: ServerKind, server: ScoringServer, template: str = CHATML) -> None:
        self.kind = kind
        self.server = server
        self._template = jinja2.sandbox.SandboxedEnvironment(
            keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False
        ).from_string(template)
        chat = "server" if kind == "vllm" else hashlib.sha256(template.encode()).hexdigest()[:8]
        self.id = f"{kind}/{server.model}/{chat}/1"
        headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._http = httpx.Client(base_url=server.base_url.rstrip("/") + "/", headers=headers, timeout=server.timeout)

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """Score trials concurrently, in order; ScorerError with finished scores on failure."""
        return score_concurrently(trials, self._one, self.server.at_once)

    def close(self) -> None:
        self._http.close()

    def _one(self, trial: Trial) -> SentenceScores:
        if not trial.reply:
            return SentenceScores((), ())
        sentences = tuple(escape_chat_markers(sentence) for sentence in trial.reply)
        reply = " ".join(sentences)
        if self.kind == "vllm":
            answer = self._post("chat/completions", self._chat(trial, reply), trial)
            return token_alignment.sum_by_sentence(token_alignment.align_prompt_logprobs(answer, reply), sentences)
        sent = (
            self._template.render(system=escape_chat_markers(trial.prompt), user=escape_chat_markers(trial.question))
            + reply
        )
        body = {"prompt": sent, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
        answer = self._post("completions", body, trial)
        return token_alignment.sum_by_sentence(token_alignment.align_echo(answer, sent, reply), sentences)

    def _chat(self, trial: Trial, reply: str) -> dict[str, Any]:
        messages = (("system", trial.prompt), ("user", trial.question), ("assistant", reply))
        return {
            "messages": [{"role": role, "content": escape_chat_markers(text)} for role, text in messages],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "prompt_logprobs": 0,
            "max_tokens": 1,
            "temperature": 0,
        }

    def _post(self, path: str, body: Mapping[str, Any], trial: Trial) -> Mapping[str, Any]:
        """Post a request with retries; ScorerError with the server's message on failure."""
        first = self.server.first_wait
        attempts = stamina.retry_context(
            on=_TransientError,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=first,
            wait_max=40 * first,
            wait_jitter=first,
        )
        for attempt in attempts:
            with attempt:
                return self._attempt(path, body, trial)
        raise AssertionError("stamina gives at least one attempt")

    def _attempt(self, path: str, body: Mapping[str, Any], trial: Trial) -> Mapping[str, Any]:
        where = f"{self.server.model} at {self._http.base_url}{path}"
        try:
            response = self._http.post(path, json={"model": self.server.model, **body})
        except httpx.TransportError as error:
            raise _TransientError(f"{where}: {type(error).__name__}") from None
        if response.is_success:
            try:
                return dict(response.json())
            except (ValueError, TypeError):
                raise ScorerError(f"{where}: the answer is not a JSON object") from None
        reason = f"{where} answered {response.status_code}: {_read_reason(response, trial)}"
        raise (_TransientError if response.status_code in TRANSIENT_STATUSES else ScorerError)(reason)


def _read_reason(response: httpx.Response, trial: Trial) -> str:
    """Read the server's error message, unless it repeats a text that was sent."""
    try:
        found: Any = response.json()
    except ValueError:
        found = response.text
    for name in ("error", "message", "detail"):
        found = found.get(name, found) if isinstance(found, Mapping) else found
    message = " ".join(str(found).split())
    for text in (trial.prompt, trial.question, *trial.reply):
        flat = " ".join(text.split())
        quotes = (flat[i : i + LONGEST_QUOTE] for i in range(max(1, len(flat) - LONGEST_QUOTE + 1)))
        if len(flat) >= SHORTEST_QUOTE and any(quote in message for quote in quotes):
            return "(its message repeats what was sent and is not shown)"
    return message[:LONGEST_REASON] or "nothing"
