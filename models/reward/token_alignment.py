"""What a server says of the tokens of a given text, and which sentence of the reply each of them belongs to.

    sum_i = Σ log p(token) over the tokens whose last character lies in sentence i    (its leading space included)

Two shapes: OpenAI's completions with ``echo`` (tokens, their log-probabilities, ``text_offset``), and vLLM's
``prompt_logprobs`` (a mapping a token). The reply is always the end of what was sent. A token that straddles two
sentences counts where it ends; one that is a part of a character (shown as U+FFFD or ``bytes:``) where that character
is. Tokens that do not spell the reply are an error, never a guess.
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
MISSPELT = "the server's tokens do not spell the text that was sent"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the text that was sent: as the server shows it, and its log-probability (None for the first)."""

    text: str
    log_p: float | None

    @property
    def partial(self) -> bool:
        """Whether the text shown is not the text itself: a part of a character, or nothing."""
        return not self.text or "\ufffd" in self.text or self.text.startswith("bytes:")


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of the reply: the place of its last character in the reply, and its log-probability."""

    last: int
    log_p: float | None


def echoed(answer: Mapping[str, Any], sent: str, reply: str) -> list[Piece]:
    """The reply's pieces from a completion with ``echo``; by ``text_offset`` where the server gives usable ones."""
    told = _field(_first(answer, "choices"), "logprobs")
    texts, log_ps = _list(told, "tokens"), _list(told, "token_logprobs")
    tokens = [Token(str(t), p) for t, p in zip(texts, log_ps, strict=True)]
    by_offset = _by_offset(tokens, told.get("text_offset") or [], sent, reply)
    if by_offset is not None:
        return by_offset
    generated = int((answer.get("usage") or {}).get("completion_tokens", 1))
    return spelt(tokens[: len(tokens) - generated], reply)


def _by_offset(tokens: Sequence[Token], offsets: Sequence[int], sent: str, reply: str) -> list[Piece] | None:
    """Pieces by where tokens begin in ``sent``; None where those places do not fit the tokens' own texts."""
    if len(offsets) != len(tokens) or not tokens:
        return None
    shift = _added_beginning(tokens, sent)
    inside = [(at - shift, token) for at, token in zip(offsets, tokens, strict=True) if at - shift < len(sent)]
    ends = [start for start, _ in inside[1:]] + [len(sent)]
    begin = len(sent) - len(reply)
    pieces = []
    for (start, token), end in zip(inside, ends, strict=True):
        last = max(start, end - 1)
        if last < begin:
            continue
        if not token.partial and token.text != sent[start:end]:
            return None
        pieces.append(Piece(last - begin, token.log_p))
    return pieces or None


def prompt_logprobs(answer: Mapping[str, Any], reply: str) -> list[Piece]:
    """The reply's pieces from vLLM's ``prompt_logprobs`` (of a chat answer, or of a completion's choice)."""
    told = answer.get("prompt_logprobs") or _first(answer, "choices").get("prompt_logprobs")
    if not isinstance(told, list):
        raise ScorerError("the server's answer has no prompt_logprobs")
    tokens = []
    for place in told:
        # the token that was given comes first, more likely ones after it
        one = next(iter(place.values())) if place else {}
        tokens.append(Token(str(one.get("decoded_token") or ""), one.get("logprob")))
    return spelt(tokens, reply)


def spelt(tokens: Sequence[Token], reply: str) -> list[Piece]:
    """The tokens at the end that spell ``reply``, found by reading both backwards."""
    pieces: list[Piece] = []
    left = len(reply)
    pending: list[Token] = []
    for token in reversed(tokens):
        if left == 0:
            break
        if token.partial:
            pending.append(token)
            continue
        end = _end_before(reply, left, token.text, len(pending))
        if end is None:
            break
        pieces += [Piece(min(end, len(reply) - 1), p.log_p) for p in pending]
        pending.clear()
        pieces.append(Piece(end - 1, token.log_p))
        left = max(0, end - len(token.text))
    if 0 < left <= len(pending):  # the reply begins with characters that are shown in parts
        pieces += [Piece(left - 1, p.log_p) for p in pending[: LONGEST_CHARACTER * left]]
        left = 0
    if left:
        raise ScorerError(MISSPELT)
    return pieces[::-1]


def _end_before(reply: str, left: int, text: str, parts: int) -> int | None:
    """Where ``text`` ends in ``reply[:left]``, with at most ``parts`` characters behind it; None if it does not."""
    for end in range(left, max(0, left - parts) - 1, -1):
        if end and (reply[:end].endswith(text) or text.endswith(reply[:end])):
            return end
    return None


def by_sentence(pieces: Sequence[Piece], reply: Sequence[str]) -> SentenceScores:
    """Sums and counts a sentence of the reply; raises ScorerError where a log-probability is missing."""
    ends = list(accumulate(len(text) + (i > 0) for i, text in enumerate(reply)))
    sums, counts = [0.0] * len(reply), [0] * len(reply)
    for piece in pieces:
        if piece.log_p is None or not math.isfinite(piece.log_p):
            raise ScorerError("the server gave a token of the reply no log-probability")
        sentence = bisect_right(ends, piece.last)
        sums[sentence] += piece.log_p
        counts[sentence] += 1
    return SentenceScores(tuple(round(s, DECIMALS) for s in sums), tuple(counts))


def _added_beginning(tokens: Sequence[Token], sent: str) -> int:
    """Length of a beginning-of-text token that the server put before what was sent; 0 where it put none."""
    first = tokens[0].text
    twice = len(tokens) > 1 and tokens[1].text == first and not sent.startswith(first * 2)
    return len(first) if twice or not (sent.startswith(first) or tokens[0].partial) else 0


def _first(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, list) or not found:
        raise ScorerError(f"the server's answer has no {name}")
    return dict(found[0])


def _field(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, Mapping):
        raise ScorerError(f"the server's answer has no {name}: does it support echo?")
    return found


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    found = answer.get(name)
    if not isinstance(found, list):
        raise ScorerError(f"the server's answer has no {name}")
    return found
