"""List the parts of the table that a language model scores, the headline first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from models.llm import make_token_counter
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Refiner
from pipelines.evaluation.nightly import slices
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import page
from pipelines.evaluation.study.comparison import candidates, fusion, seeds, topics, truth
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.rows import attacks, behaviour, drafts, facts_found, peer_value, ratings, replies
from pipelines.evaluation.study.rows import slices as slice_rows
from pipelines.evaluation.study.rows.unseen import external, external_finetune, generalization, new_topic_rl
from pipelines.evaluation.study.selection import StudyPart
from pipelines.splits import TEST

HEADLINE = "replies"
HELD_OUT = "held_out"  # gate and test together, where nothing was chosen on the gate
QUICK_EXTERNAL = 4  # external episodes
INPUTS = ("episodes", "refiner")
OpenBench = Callable[[], Bench]


def list_parts(
    open_bench: OpenBench, seed_count: int, others: Path | None, others_train: Path | None
) -> list[StudyPart]:
    """List the parts, the most important first; ``open_bench`` gives what they work with."""

    def part(
        name: str, numbers: Sequence[int], names: Sequence[str], build: Callable[[Bench], list[MetricRow]]
    ) -> StudyPart:
        inputs = (*INPUTS, "files") if "external" in name else INPUTS
        return StudyPart(name, frozenset(numbers), tuple(names), inputs, lambda: build(open_bench()))

    found = [
        part(HEADLINE, (1, 5, 6, 8, 11), (
            "gain_validity_auc", "ablation_*", "refined_*", "ranking_*", "*_reward", "*_tokens",
            "selection_swap*", "ownership", "pinned_present", "reward_refined_vs_*", "seed_*", "spread_*",
        ), partial(_headline_rows, seed_count=seed_count)),
        part("facts found", (6,), (
            "*_f1", "*_f1_vs_*", "topic_episodes_*", "recall_of_*", "wrong_picks_of_*", "refined_f1_of_spoken_facts",
        ), partial(_fact_rows, seed_count=seed_count)),
        part("slices", (6,), ("slice_*",), _slice_rows),
        part("peer value", (5,), ("peer_vs_*",), lambda b: peer_value.build_rows(b, truth.read_truth(b.settings))),
        part("drafts", (14,), ("draft_*",), _draft_rows),
        part("behaviour", (15,), tuple(case.name for case in behaviour.CASES), _behaviour_rows),
        part("attacks", (11,), (
            "attacked_pinned_present", "allergy_rules_intact", "red_flags_intact", "contradictions",
        ), _attack_rows),
    ]  # fmt: skip
    if others is not None:
        found.append(
            part(
                "external",
                (9,),
                ("external_log_p_*", "external_refined_*"),
                lambda bench: _external_rows(bench, others),
            )
        )
    if others is not None and others_train is not None:
        found.append(
            part(
                "external adapted",
                (9,),
                ("external_adapted_*",),
                lambda bench: external_finetune.build_rows(
                    bench, others_train, others, _token_counter(bench), _most(bench)
                ),
            )
        )
    return [
        *found,
        part("rivals", (7,), ("refined_vs_*", "reward_refined_vs_*", "seed_*", "spread_*"),
             partial(_rival_rows, seed_count=seed_count)),
        part("new topics", (9,), ("left_out_topics_*",), generalization.build_topic_rows),
        part("new wordings", (9,), ("held_out_wordings_*",), generalization.build_wording_rows),
        part("ratings", (10,), ("ratings_only_*",), ratings.build_rows),
        part("new kinds", (9,), ("left_out_kind*",), generalization.build_kind_rows),
        part("new topic rl", (7,), ("rl_new_topic_*",), lambda bench: new_topic_rl.build_rows(bench, seed_count)),
    ]  # fmt: skip


def _headline_rows(bench: Bench, seed_count: int) -> list[MetricRow]:
    """Rows 1, 5, 6, 8 and 11 over all seeds."""
    compared = candidates.load_policies(bench.settings, bench.encode)
    compared.pop("warm_start", None)
    compared |= candidates.build_rules(bench.caps, bench.encode)
    fitted = candidates.fit_by_gain(bench.labelled, bench.caps, bench.encode)
    compared |= {name: refiner for name, refiner in fitted.items() if name == "fixed"}
    if REFINED in compared:
        compared["length_matched"] = candidates.LengthMatchedRefiner(compared[REFINED], bench.encode)
    if any(e.facts for e in bench.test):
        compared["facts"] = candidates.TrueFactsRefiner(bench.caps, bench.test)
    more = _list_seeds(bench, seed_count, (REFINED, "length_matched"))
    rows, rollouts = replies.build_rows(bench.test, compared, bench.gains, bench.reward, bench.encode, TEST, more)
    page.save_gains(bench.settings, bench.gains, rollouts)
    return [row for row in rows if not row.name.endswith("_f1")]  # these are in the part of the facts found


def _fact_rows(bench: Bench, seed_count: int) -> list[MetricRow]:
    """Row 6's F1 over all seeds."""
    compared = _load_headline(bench, ("none", "random", "recent", "minilm", "ranking"))
    if not compared or not bench.test:
        return []
    compared["facts"] = candidates.TrueFactsRefiner(bench.caps, bench.test)
    known = topics.assign_topics([*bench.train, *bench.test], bench.train, bench.encode) if bench.train else {}
    bins = topics.bin_by_training(known, bench.train)
    unspoken = {episode: one.unspoken for episode, one in truth.read_truth(bench.settings).items()}
    more = _list_seeds(bench, seed_count, (REFINED,))
    return facts_found.build_rows(bench.test, compared, more, TEST, bins, unspoken)


def _rival_rows(bench: Bench, seed_count: int) -> list[MetricRow]:
    """Row 7 over all seeds: the warm start, and what learns without RL."""
    compared = candidates.load_policies(bench.settings, bench.encode)
    refined = compared.get(REFINED)
    compared["initial"] = candidates.build_rules(bench.caps, bench.encode)["initial"]
    fitted = candidates.fit_by_gain(bench.labelled, bench.caps, bench.encode)
    compared |= {name: refiner for name, refiner in fitted.items() if name in replies.LEARNT}
    if isinstance(refined, PolicyRefiner):
        with suppress(BudgetSpentError):
            compared["refined+cosine"] = fusion.choose_fused(bench, refined)
        if "warm_start" not in compared and bench.gains:  # a night that went on from its champion made none
            compared["warm_start"] = _train_seed(bench, 0, ("warm_start",))["warm_start"]
        if not bench.quick:
            with suppress(BudgetSpentError):
                everything = (bench.train, bench.gains, bench.encode, bench.reward)
                compared.update(
                    candidates.train_candidates(bench.settings, bench.params, compared.get("warm_start"), *everything)
                )
    more = _list_seeds(bench, seed_count, (REFINED, "warm_start"))
    rows, _ = replies.build_rows(bench.test, compared, (), bench.reward, bench.encode, TEST, more)
    return [row for row in rows if row.row == 7 or row.name.removesuffix("_f1") in replies.LEARNT]


def _list_seeds(bench: Bench, count: int, names: Sequence[str]) -> list[Callable[[], dict[str, Refiner]]]:
    numbers = range(1, 1 if bench.quick or not bench.gains else count)
    return [partial(_train_seed, bench, number, names) for number in numbers]


def _train_seed(bench: Bench, number: int, names: Sequence[str]) -> dict[str, Refiner]:
    arguments = (bench.labelled, bench.train, bench.params, bench.reward, bench.encode)
    trained = seeds.train_seed(bench.settings, number, *arguments)
    return {name: trained[name] for name in names}


def _slice_rows(bench: Bench) -> list[MetricRow]:
    compared = _load_headline(bench, ("ranking",))
    if not compared or not bench.test:
        return []
    return slice_rows.build_rows(bench.roll_out(bench.test, compared), TEST, slices.SLICES)


def _draft_rows(bench: Bench) -> list[MetricRow]:
    return drafts.build_rows(bench.train, bench.test, bench.encode, bench.settings.k_anonymity, TEST)


def _attack_rows(bench: Bench) -> list[MetricRow]:
    compared = _load_headline(bench, ("initial", "none", "random", "ranking", "minilm"))
    return attacks.build_rows(bench.roll_out(bench.test, compared), TEST) if compared else []


def _behaviour_rows(bench: Bench) -> list[MetricRow]:
    compared = _load_headline(bench, ())
    return behaviour.build_rows(compared[REFINED], [*bench.gate, *bench.test], HELD_OUT) if compared else []


def _external_rows(bench: Bench, others: Path) -> list[MetricRow]:
    compared = candidates.load_policies(bench.settings, bench.encode)
    if REFINED in compared:
        compared |= candidates.build_rules(bench.caps, bench.encode)
        compared["length_matched"] = candidates.LengthMatchedRefiner(compared[REFINED], bench.encode)
    return external.build_rows(others, compared, bench.reward, bench.encode, _token_counter(bench), _most(bench))


def _load_headline(bench: Bench, rules: Sequence[str]) -> dict[str, Refiner]:
    """Load the refined candidate and some rules; nothing where no refiner was trained."""
    found = candidates.load_policies(bench.settings, bench.encode)
    if REFINED not in found:
        return {}
    known = candidates.build_rules(bench.caps, bench.encode)
    return {REFINED: found[REFINED], **{name: known[name] for name in rules}}


def _token_counter(bench: Bench) -> Callable[[str], int]:
    return make_token_counter(bench.settings.embedded_llm)


def _most(bench: Bench) -> int | None:
    return QUICK_EXTERNAL if bench.quick else None
