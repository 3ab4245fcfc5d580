"""Stage ``episodes``: every answered question, with what was known when asked.

Features come from a point-in-time join as of the question's time; segments are built and ranked as in serving, by what
the training split's replies took up (``recommend``), of peers only what beats the cohort (``peer_outcomes``). A
simulator's ``facts.jsonl.gz`` in the clinic's folder lists the facts behind each reply, for evaluation, hidden from the
policy. A large clinic is sampled by a hash of the episode, so tomorrow's sample is today's plus new episodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from models.encoder import Encoder
from models.llm import make_token_counter
from models.peers.outcome_estimates import NO_FINDINGS, Findings
from models.prompt.candidates import build_candidates
from models.reward.terms import ReplyBank, find_specific_sentences
from models.schema import Episode, FeatureRow
from pipelines import splits
from pipelines.embedding_cache import open_encoder
from pipelines.episodes import episode_file, peer_outcomes, recommend
from pipelines.episodes.conversations import Exchange, pair_exchanges
from pipelines.episodes.ground_truth import GroundTruth, read_ground_truth
from pipelines.features.build import historical_rows
from pipelines.params import EpisodesParams, load_params
from pipelines.records.log import event_log
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files

READ_LANGUAGE = "en"  # the embedded models read English; other languages are answered, but not scored


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``data/episodes/episodes.parquet``; hold with too few episodes to train on."""
    with stage_run(settings, night, "episodes") as summary:
        params = load_params(settings).episodes
        asked = pair_exchanges(event_log.scan_events(settings), settings.now())
        chosen = choose_exchanges(asked, params)
        with open_encoder(settings) as encode:
            findings = peer_outcomes.write_findings(settings) if chosen else NO_FINDINGS
            episodes = build_episodes(settings, chosen, encode, findings) if chosen else []
            ranker = recommend.fit_ranker(settings, episodes, encode)
            episodes = recommend.rank_episodes(episodes, ranker, encode)
        episode_file.write_episodes(settings, episodes)
        counts = Counter(e.split for e in episodes)
        summary.rows_in, summary.rows_out = len(asked), len(episodes)
        summary.hashes = {"episodes": hash_files([settings.episodes])}
        summary.figures = {split: counts[split] for split in (splits.TRAIN, splits.GATE, splits.TEST)}
        summary.figures |= {"chosen": len(chosen), "patients": len({e.subject_id for e in episodes})}
        summary.figures["peer_outcomes"] = (
            ", ".join(o for o in findings if findings[o].is_stated) or "none beat the cohort"
        )
        summary.figures["ranked_by"] = ranker.id if ranker else "nearness to the question and guidance"
        if reason := explain_hold(len(asked), counts[splits.TRAIN]):
            summary.status, summary.detail = "hold", reason
    return summary


def explain_hold(asked: int, trainable: int) -> str:
    """Explain why there can be no training; empty where there can."""
    if asked == 0:
        return "no question-and-reply pairs in the records"
    if trainable < splits.FEWEST_TO_TRAIN_ON:
        needed = splits.FEWEST_TO_TRAIN_ON
        return f"{trainable} question-and-reply pairs to train on, of {asked}; at least {needed} are needed"
    return ""


def choose_exchanges(asked: Sequence[Exchange], params: EpisodesParams) -> list[tuple[Exchange, str]]:
    """Choose exchanges of each split, up to its limit, ordered by time."""
    assigned = splits.assign_splits([(e.subject_id, e.asked) for e in asked], params.split)
    chosen: list[tuple[Exchange, str]] = []
    for split in (splits.TRAIN, splits.GATE, splits.TEST):
        most = params.most_train if split == splits.TRAIN else params.most_held_out
        members = [e for e, s in zip(asked, assigned, strict=True) if s == split]
        chosen += [(e, split) for e in sorted(members, key=lambda e: splits.hash_order(format_episode_id(e)))[:most]]
    return sorted(chosen, key=lambda pair: (pair[0].asked, pair[0].record))


def format_episode_id(exchange: Exchange) -> str:
    return f"{exchange.record:016x}"


def build_episodes(
    settings: Settings, chosen: Sequence[tuple[Exchange, str]], encode: Encoder, findings: Findings = NO_FINDINGS
) -> list[Episode]:
    """Build episodes of exchanges with patients whose language is ``READ_LANGUAGE``, their segments not ranked yet.

    ``findings`` say which outcomes of peers a prompt may state.
    """
    rows = read_feature_rows(settings, [e for e, _ in chosen])
    selected = [
        (e, s, row)
        for (e, s), row in zip(chosen, rows, strict=True)
        if (row.get("language") or READ_LANGUAGE) == READ_LANGUAGE
    ]
    count, rule = make_token_counter(settings.embedded_llm), settings.currency_rule
    known = read_ground_truth(settings)
    bank = build_reply_bank([e for e, split, _ in selected if split == splits.TRAIN], encode)
    episodes = []
    for exchange, split, row in selected:
        truth = known.get(exchange.reply_record, GroundTruth(None, frozenset()))
        vector = encode.encode([exchange.question])[0]
        episodes.append(
            Episode(
                episode_id=format_episode_id(exchange),
                subject_id=exchange.subject_id,
                as_of=exchange.asked,
                question=exchange.question,
                segments=build_candidates(row, exchange.asked, count, rule=rule, findings=findings),
                reply=exchange.reply,
                specific=find_specific_sentences(exchange.reply, vector, exchange.subject_id, bank),
                rating=exchange.rating,
                split=split,
                topic=truth.topic,
                facts=truth.facts,
            )
        )
    return episodes


def read_feature_rows(settings: Settings, asked: Sequence[Exchange]) -> list[FeatureRow]:
    """Read each patient's features as of their question, in order."""
    entities = pd.DataFrame(
        {
            "subject_id": [e.subject_id for e in asked],
            "event_timestamp": pd.to_datetime([e.asked for e in asked], utc=True),
        }
    )
    found = historical_rows.read_rows(settings, entities).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in found]


def build_reply_bank(asked: Sequence[Exchange], encode: Encoder) -> ReplyBank:
    """Collect the training split's replies, to tell general from specific sentences."""
    return ReplyBank(
        vectors=encode.encode([e.question for e in asked]),
        subjects=np.array([e.subject_id for e in asked], dtype=np.int64),
        replies=tuple(frozenset(e.reply) for e in asked),
    )
