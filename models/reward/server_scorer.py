"""A server as the scorer: log-probabilities of the clinician's reply under any model that tells them of given text.

    log p(y | p, q) = Σ_t log p_server(y_t | chat(p, q), y_<t)        summed per reply sentence

as in ``models/reward/embedded_scorer.py``, with another frozen model. Two ways to ask: vLLM's chat endpoint with
``prompt_logprobs`` (the server's own chat format), and completions with ``echo`` (the chat format is ours: ChatML, or
a Jinja file).
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
from models.reward.request_pool import ScorerError, each
from models.reward.terms import SentenceScores, Trial

CHATML = "<|im_start|>system\n{{ system }}<|im_end|>\n<|im_start|>user\n{{ user }}<|im_end|>\n<|im_start|>assistant\n"
MAY_PASS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # status codes after which another try makes sense
ATTEMPTS = 5
LONGEST_REASON = 300  # characters of the server's own words
#: Characters that a shown answer may not repeat: of a short text that was sent, of a longer one.
SHORTEST_QUOTE, LONGEST_QUOTE = 8, 24

Kind = Literal["vllm", "completions"]


class _PassingError(ScorerError):
    """A failure that another try may mend."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, which model it is asked for, seconds for one answer, and requests at once."""

    base_url: str
    model: str
    api_key: str | None = None
    timeout: float = 60.0
    at_once: int = 8
    first_wait: float = 0.5  # seconds before the second attempt; then twice as long each


class ServerScorer:
    """Scores trials over HTTP. ``template``: the chat format of ``completions``, Jinja with ``system`` and ``user``."""

    def __init__(self, kind: Kind, server: Server, template: str = CHATML) -> None:
        self.kind = kind
        self.server = server
        self._template = jinja2.sandbox.SandboxedEnvironment(
            keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False
        ).from_string(template)
        chat = "server" if kind == "vllm" else hashlib.sha256(template.encode()).hexdigest()[:8]
        self.id = f"{kind}/{server.model}/{chat}/1"
        headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._http = httpx.Client(base_url=server.base_url.rstrip("/") + "/", headers=headers, timeout=server.timeout)

    def sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        """One ``SentenceScores`` a trial, in order; :class:`ScorerError` with what was done where the server fails."""
        return each(trials, self._one, self.server.at_once)

    def close(self) -> None:
        self._http.close()

    def _one(self, trial: Trial) -> SentenceScores:
        if not trial.reply:
            return SentenceScores((), ())
        sentences = tuple(escape_chat_markers(sentence) for sentence in trial.reply)
        reply = " ".join(sentences)
        if self.kind == "vllm":
            answer = self._post("chat/completions", self._chat(trial, reply), trial)
            return token_alignment.by_sentence(token_alignment.prompt_logprobs(answer, reply), sentences)
        sent = (
            self._template.render(system=escape_chat_markers(trial.prompt), user=escape_chat_markers(trial.question))
            + reply
        )
        body = {"prompt": sent, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
        answer = self._post("completions", body, trial)
        return token_alignment.by_sentence(token_alignment.echoed(answer, sent, reply), sentences)

    def _chat(self, trial: Trial, reply: str) -> dict[str, Any]:
        said = (("system", trial.prompt), ("user", trial.question), ("assistant", reply))
        return {
            "messages": [{"role": role, "content": escape_chat_markers(text)} for role, text in said],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "prompt_logprobs": 0,
            "max_tokens": 1,
            "temperature": 0,
        }

    def _post(self, path: str, body: Mapping[str, Any], trial: Trial) -> Mapping[str, Any]:
        """The server's answer. Retries what may pass; raises :class:`ScorerError` in the server's words."""
        first = self.server.first_wait
        attempts = stamina.retry_context(
            on=_PassingError,
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
            raise _PassingError(f"{where}: {type(error).__name__}") from None
        if response.is_success:
            try:
                return dict(response.json())
            except (ValueError, TypeError):
                raise ScorerError(f"{where}: the answer is not a JSON object") from None
        reason = f"{where} answered {response.status_code}: {_reason(response, trial)}"
        raise (_PassingError if response.status_code in MAY_PASS else ScorerError)(reason)


def _reason(response: httpx.Response, trial: Trial) -> str:
    """The server's own words for a refusal, unless they repeat a text that was sent."""
    try:
        told: Any = response.json()
    except ValueError:
        told = response.text
    for name in ("error", "message", "detail"):
        told = told.get(name, told) if isinstance(told, Mapping) else told
    said = " ".join(str(told).split())
    for text in (trial.prompt, trial.question, *trial.reply):
        flat = " ".join(text.split())
        quotes = (flat[i : i + LONGEST_QUOTE] for i in range(max(1, len(flat) - LONGEST_QUOTE + 1)))
        if len(flat) >= SHORTEST_QUOTE and any(quote in said for quote in quotes):
            return "(its words repeat what was sent and are not shown)"
    return said[:LONGEST_REASON] or "nothing"
