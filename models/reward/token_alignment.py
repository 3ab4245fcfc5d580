"""Align a server's token log-probabilities with the sentences of a reply.

    sum_i = Σ log p(token) over tokens whose last character is in sentence i    (its leading space included)

Two formats: OpenAI's completions with ``echo`` (tokens, log-probabilities, ``text_offset``), and vLLM's
``prompt_logprobs`` (one mapping per token). The reply is always the end of the sent text. A token across two sentences
counts where it ends, a part of a character (shown as U+FFFD or ``bytes:``) where that character is. Tokens that do not
spell the reply raise ScorerError.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from models.reward.request_pool import ScorerError
from models.reward.terms import SentenceScores

DECIMALS = 5
LONGEST_CHARACTER = 4  # bytes of UTF-8
MISALIGNED = "the server's tokens do not spell the text that was sent"


@dataclass(frozen=True, slots=True)
class ServerToken:
    """One token of the sent text; the first has no log-probability."""

    text: str
    log_p: float | None

    @property
    def partial(self) -> bool:
        """Whether the shown text is empty or stands for a part of a character."""
        return not self.text or "\ufffd" in self.text or self.text.startswith("bytes:")


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """One token of the reply: index of its last character, and its log-probability."""

    last: int
    log_p: float | None


def align_echo(answer: Mapping[str, Any], sent: str, reply: str) -> list[ReplyToken]:
    """Align a completion with ``echo``, by ``text_offset`` where that is usable."""
    logprobs = _read_field(_first_item(answer, "choices"), "logprobs")
    texts, log_ps = _read_list(logprobs, "tokens"), _read_list(logprobs, "token_logprobs")
    tokens = [ServerToken(str(t), p) for t, p in zip(texts, log_ps, strict=True)]
    by_offset = _align_by_offset(tokens, logprobs.get("text_offset") or [], sent, reply)
    if by_offset is not None:
        return by_offset
    generated = int((answer.get("usage") or {}).get("completion_tokens", 1))
    return align_from_end(tokens[: len(tokens) - generated], reply)


def _align_by_offset(
    tokens: Sequence[ServerToken], offsets: Sequence[int], sent: str, reply: str
) -> list[ReplyToken] | None:
    """Align by token offsets in ``sent``; None where they do not fit the tokens' texts."""
    if len(offsets) != len(tokens) or not tokens:
        return None
    shift = _bos_length(tokens, sent)
    inside = [(at - shift, token) for at, token in zip(offsets, tokens, strict=True) if at - shift < len(sent)]
    ends = [start for start, _ in inside[1:]] + [len(sent)]
    begin = len(sent) - len(reply)
    aligned = []
    for (start, token), end in zip(inside, ends, strict=True):
        last = max(start, end - 1)
        if last < begin:
            continue
        if not token.partial and token.text != sent[start:end]:
            return None
        aligned.append(ReplyToken(last - begin, token.log_p))
    return aligned or None


def align_prompt_logprobs(answer: Mapping[str, Any], reply: str) -> list[ReplyToken]:
    """Align vLLM's ``prompt_logprobs``, of a chat answer or of a completion's choice."""
    places = answer.get("prompt_logprobs") or _first_item(answer, "choices").get("prompt_logprobs")
    if not isinstance(places, list):
        raise ScorerError("the server's answer has no prompt_logprobs")
    tokens = []
    for place in places:
        # the given token comes first, likelier ones after it
        one = next(iter(place.values())) if place else {}
        tokens.append(ServerToken(str(one.get("decoded_token") or ""), one.get("logprob")))
    return align_from_end(tokens, reply)


def align_from_end(tokens: Sequence[ServerToken], reply: str) -> list[ReplyToken]:
    """Find the last tokens that spell ``reply`` by matching both backwards."""
    aligned: list[ReplyToken] = []
    left = len(reply)
    pending: list[ServerToken] = []
    for token in reversed(tokens):
        if left == 0:
            break
        if token.partial:
            pending.append(token)
            continue
        end = _find_end(reply, left, token.text, len(pending))
        if end is None:
            break
        aligned += [ReplyToken(min(end, len(reply) - 1), p.log_p) for p in pending]
        pending.clear()
        aligned.append(ReplyToken(end - 1, token.log_p))
        left = max(0, end - len(token.text))
    if 0 < left <= len(pending):  # the reply begins with characters shown in parts
        aligned += [ReplyToken(left - 1, p.log_p) for p in pending[: LONGEST_CHARACTER * left]]
        left = 0
    if left:
        raise ScorerError(MISALIGNED)
    return aligned[::-1]


def _find_end(reply: str, left: int, text: str, parts: int) -> int | None:
    """Find where ``text`` ends in ``reply[:left]``, at most ``parts`` characters before its end."""
    for end in range(left, max(0, left - parts) - 1, -1):
        if end and (reply[:end].endswith(text) or text.endswith(reply[:end])):
            return end
    return None


def sum_by_sentence(aligned: Sequence[ReplyToken], reply: Sequence[str]) -> SentenceScores:
    """Sum log-probabilities per sentence; ScorerError where one is missing."""
    ends = list(accumulate(len(text) + (i > 0) for i, text in enumerate(reply)))
    sums, counts = [0.0] * len(reply), [0] * len(reply)
    for piece in aligned:
        if piece.log_p is None or not math.isfinite(piece.log_p):
            raise ScorerError("the server gave a token of the reply no log-probability")
        sentence = bisect_right(ends, piece.last)
        sums[sentence] += piece.log_p
        counts[sentence] += 1
    return SentenceScores(tuple(round(s, DECIMALS) for s in sums), tuple(counts))


def _bos_length(tokens: Sequence[ServerToken], sent: str) -> int:
    """Measure the beginning-of-text token that the server prepended; 0 without one."""
    first = tokens[0].text
    twice = len(tokens) > 1 and tokens[1].text == first and not sent.startswith(first * 2)
    return len(first) if twice or not (sent.startswith(first) or tokens[0].partial) else 0


def _first_item(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, list) or not found:
        raise ScorerError(f"the server's answer has no {name}")
    return dict(found[0])


def _read_field(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, Mapping):
        raise ScorerError(f"the server's answer has no {name}: does it support echo?")
    return found


def _read_list(answer: Mapping[str, Any], name: str) -> list[Any]:
    found = answer.get(name)
    if not isinstance(found, list):
        raise ScorerError(f"the server's answer has no {name}")
    return found
