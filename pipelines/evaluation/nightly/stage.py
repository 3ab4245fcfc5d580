"""Stage ``evaluate``: the challenger against champion, initial prompt and baselines, on held-out patients.

Writes ``metrics/evaluation.json``: ``rows`` for the gate split and the locked test split (``metrics``), ``test_looks``
(how many nights have looked at the test split), what the gate decides on (``comparisons``), and ``off_policy``, what
the log says of the challenger's answers (``off_policy``). On the gate split, which is for the decision alone, only
challenger and champion are scored; baselines and another patient's reply on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from models.refiner import checkpoint
from models.refiner.baselines import EmptyRefiner, FullRefiner, NearestRefiner, RandomRefiner, RankingRefiner
from models.refiner.interface import Refiner
from pipelines import splits
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import CachedEncoder, open_encoder
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly import comparisons, metrics, off_policy, rollout
from pipelines.params import load_params
from pipelines.runs import StageSummary, stage_run, summary_path
from pipelines.training import champion, rewards
from pipelines.training.provenance import SEEDS, WARM_START
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``metrics/evaluation.json``; ``noop`` without a training, ``hold`` without an episode."""
    with stage_run(settings, night, "evaluate") as summary:
        episodes = [e for e in episode_file.read_episodes(settings) if e.split in (splits.GATE, splits.TEST)]
        summary.rows_in = len(episodes)
        target = settings.metrics / "evaluation.json"
        skipped = read_skipped_training(settings)
        reason = skipped or explain_hold(settings, len(episodes))
        if reason:
            summary.status, summary.detail = "noop" if skipped else "hold", reason
            write_json(target, {"status": summary.status, "why": reason, "rows": []})
            return summary
        price = load_params(settings).train.token_price
        with deterministic_torch(), rewards.open_rewards(settings, price) as reward, open_encoder(settings) as encode:
            refiners = load_candidates(settings, night, encode)
            judged = {name: refiners[name] for name in (comparisons.CHALLENGER, comparisons.CHAMPION)}
            gate, test = ([e for e in episodes if e.split == split] for split in (splits.GATE, splits.TEST))
            rollouts = rollout.run_rollouts(gate, judged, reward, encode, swapped=False)
            rollouts += rollout.run_rollouts(test, refiners, reward, encode)
            compared = comparisons.compare(rollouts, refiners, load_repeats(settings, encode), reward)
            logged = off_policy.estimate_challenger(settings, night, refiners["refined"], episodes)
        rows = metrics.build_rows(rollouts, splits.GATE, list(judged))
        rows += metrics.build_rows(rollouts, splits.TEST, list(refiners))
        write_json(
            target,
            {
                "status": "done",
                "challenger": refiners["refined"].id,
                "champion": refiners["champion"].id,
                "test_looks": count_test_looks(settings, night),
                "headline": select_headline(rows),
                "rows": [row.json() for row in rows],
                "off_policy": logged,
                **compared,
            },
        )
        summary.rows_out = len(rows)
        summary.figures = {"evaluations": reward.asked, **select_headline(rows)}
    return summary


def read_skipped_training(settings: Settings) -> str:
    """Read why tonight had no cause to train; empty where it had."""
    path = settings.metrics / "train.json"
    trained = read_json(path) if path.exists() else {}
    return str(trained["why"]) if trained.get("status") == "noop" else ""


def explain_hold(settings: Settings, episodes: int) -> str:
    """Say why there is nothing to evaluate tonight; empty where there is."""
    if not (settings.models / "challenger" / checkpoint.DESCRIPTION).exists():
        return "no challenger was trained"
    return "" if episodes else "no held-out episodes"


def load_candidates(settings: Settings, night: str, encode: CachedEncoder) -> dict[str, Refiner]:
    """Load the candidates by name; all but the initial prompt have the same caps."""
    limits = load_params(settings).caps
    challenger = settings.models / "challenger"
    faced = champion.find_incumbent(settings, night)
    served: Refiner = RankingRefiner(limits)
    if faced:
        with suppress(checkpoint.OutdatedCheckpointError):  # the ranking, which was the first champion, replaces it
            served = checkpoint.load_refiner(champion.find_champion_folder(settings, faced), encode)
    found: dict[str, Refiner] = {
        "refined": checkpoint.load_refiner(challenger, encode),
        "champion": served,
        "initial": FullRefiner(),
        "ranking": RankingRefiner(limits),
        "minilm": NearestRefiner(limits, encode),
        "random": RandomRefiner(limits),
        "none": EmptyRefiner(),
    }
    if (challenger / WARM_START / checkpoint.DESCRIPTION).exists():
        found["warm_start"] = checkpoint.load_refiner(challenger / WARM_START, encode)
    return found


def load_repeats(settings: Settings, encode: CachedEncoder) -> list[Refiner]:
    """Load the challenger's trainings with other seeds, in order."""
    folders = sorted((settings.models / "challenger" / SEEDS).glob("*"), key=lambda folder: int(folder.name))
    return [checkpoint.load_refiner(folder, encode) for folder in folders]


def count_test_looks(settings: Settings, night: str) -> int:
    """Count the nights that have looked at the test split, this one included."""
    nights = {path.parent.name for path in settings.runs.glob("*/evaluate.json") if read_json(path)["status"] == "done"}
    return len(nights | {summary_path(settings, night, "evaluate").parent.name})


def select_headline(rows: Sequence[metrics.MetricRow]) -> Mapping[str, float | None]:
    """Select the few figures that ``pmlm nights`` compares, from the locked test split."""
    names = ("refined_reward", "reward_refined_vs_initial", "refined_vs_initial", "refined_f1", "refined_tokens")
    return {row.name: row.value for row in rows if row.split == splits.TEST and row.name in names}
