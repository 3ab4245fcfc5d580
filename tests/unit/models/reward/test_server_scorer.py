"""Any server of given text's log-probabilities can replace the embedded scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.request_pool import ScorerError
from models.reward.score_cache import CachedScorer, ScoreCache
from models.reward.server_scorer import ScoringServer, ServerKind, ServerScorer
from models.reward.terms import SentenceScores, Trial
from models.reward.token_alignment import MISALIGNED, ServerToken, align_from_end, sum_by_sentence
from tests.answering_server import serving
from tests.unit.models.reward.given_text_server import GivenText

TRIAL = Trial(
    "You answer a patient.\nHer haemoglobin was 9.8 g/dL a week ago.",
    "Why am I so tired? <|im_end|> really",
    ("Your haemoglobin of 9.8 is low, so we start iron.", "Drink 1½ l – café is fine.", "请在两周后复查。"),
    (True, False, False),
)
TRIALS = [replace(TRIAL, prompt=TRIAL.prompt + f"\nShe has {n} children.") for n in range(5)] + [
    replace(TRIAL, reply=("Yes.",), specific=(True,)),
    replace(TRIAL, reply=(), specific=()),
]
#: Without chat markers, which the embedded scorer disarms in its tokenizer and a server's request in its text.
PLAIN = [replace(t, question="Why am I so tired?") for t in (TRIALS[0], *TRIALS[-2:])]


@pytest.fixture(scope="module")
def embedded(llm_folder: Path) -> list[SentenceScores]:
    """The same trials under the embedded model, in the server's own arithmetic."""
    return EmbeddedScorer(llm_folder, bf16=False).score_sentences(PLAIN)


@pytest.fixture(scope="module")
def model(llm_folder: Path) -> GivenText:
    return GivenText(llm_folder)


@pytest.fixture
def server(model: GivenText) -> Iterator[GivenText]:
    model.requests, model.refusals, model.dies_after = [], [], None
    model.offsets, model.bos, model.quick = True, False, True
    with serving(model) as model.base_url:
        yield model


def asking(server: GivenText, kind: ServerKind, at_once: int = 2) -> ServerScorer:
    return ServerScorer(kind, ScoringServer(server.base_url, "smollm2", "key", 30.0, at_once, first_wait=0.01))


@pytest.mark.parametrize(("kind", "offsets"), [("vllm", True), ("completions", True), ("completions", False)])
def test_both_shapes_give_the_embedded_scores(
    server: GivenText, embedded: list[SentenceScores], kind: ServerKind, offsets: bool
) -> None:
    server.offsets, server.quick = offsets, False
    for found, known in zip(asking(server, kind).score_sentences(PLAIN), embedded, strict=True):
        assert found.counts == known.counts
        assert list(found.sums) == pytest.approx(list(known.sums), abs=1e-3)


def test_a_beginning_token_that_the_server_adds_moves_no_offset(server: GivenText) -> None:
    without = asking(server, "completions").score_sentences(TRIALS[:1])[0]
    server.bos = True
    assert asking(server, "completions").score_sentences(TRIALS[:1])[0].counts == without.counts


@pytest.mark.parametrize("kind", ["vllm", "completions"])
def test_chat_markers_in_a_patient_s_words_are_sent_as_plain_characters(server: GivenText, kind: ServerKind) -> None:
    asking(server, kind).score_sentences(TRIALS[:1])
    assert "really" in str(server.requests)
    assert "<|im_end|> really" not in str(server.requests)


def test_a_busy_server_is_asked_again_and_a_refusal_is_told_in_its_own_words(server: GivenText) -> None:
    server.refusals = [(503, "busy"), (429, "slower")]
    assert asking(server, "completions").score_sentences(TRIALS[:1])[0].counts
    assert len(server.requests) == 3
    server.refusals = [(400, "logprobs are not supported by this model")]
    with pytest.raises(ScorerError, match=r"smollm2 at .* answered 400: logprobs are not supported by this model"):
        asking(server, "completions").score_sentences(TRIALS[:1])


def test_a_refusal_that_repeats_patient_text_is_not_shown(server: GivenText) -> None:
    server.refusals = [(400, f"bad prompt: {TRIAL.prompt}")]
    with pytest.raises(ScorerError, match="not shown") as caught:
        asking(server, "completions").score_sentences(TRIALS[:1])
    assert "haemoglobin" not in str(caught.value)


def test_a_server_that_dies_halfway_is_resumed_without_double_cost(server: GivenText, tmp_path: Path) -> None:
    server.dies_after = 3
    with pytest.raises(ScorerError, match="out of memory"):
        CachedScorer(asking(server, "completions", 1), ScoreCache(tmp_path / "s")).score_sentences(TRIALS[:6])
    cache = ScoreCache(tmp_path / "s")
    assert len(cache) == 3
    server.dies_after, server.requests = None, []
    CachedScorer(asking(server, "completions"), cache).score_sentences(TRIALS[:6])
    assert len(server.requests) == 3


def test_two_models_never_share_a_score(server: GivenText) -> None:
    ids = {
        ServerScorer(kind, ScoringServer(server.base_url, name), template).id
        for kind in ("vllm", "completions")
        for name in ("one", "other")
        for template in ("{{ system }}\n{{ user }}\n", "{{ user }}\n{{ system }}\n")
    }
    assert len(ids) == 6  # vllm uses the server's own format


def test_an_unreachable_server_is_named() -> None:
    unreachable = ScoringServer("http://127.0.0.1:9/v1", "gone", first_wait=0.001)
    with pytest.raises(ScorerError, match=r"gone at .*127\.0\.0\.1:9"):
        ServerScorer("vllm", unreachable).score_sentences(TRIALS[:1])


def test_tokens_that_do_not_spell_the_reply_are_an_error() -> None:
    tokens = [ServerToken("assistant\n", None), ServerToken("Yes", -1.0), ServerToken(" no", -1.0)]
    with pytest.raises(ScorerError, match=MISALIGNED):
        align_from_end(tokens, "Yes.")


def test_a_token_counts_in_the_sentence_it_ends_in_and_parts_of_a_character_where_it_is() -> None:
    tokens = [
        ServerToken(t, -1.0) for t in ("\n\n", "\ufffd", "\ufffd", "ok", ". ", "Ta", "\ufffd", "bytes:\\x9f", ".")
    ]
    pieces = align_from_end(tokens, "éok. Taß.")
    assert sum_by_sentence(pieces, ("éok.", "Taß.")).counts == (3, 5)
    with pytest.raises(ScorerError, match="no log-probability"):
        sum_by_sentence(align_from_end([ServerToken("Yes.", None)], "Yes."), ("Yes.",))
