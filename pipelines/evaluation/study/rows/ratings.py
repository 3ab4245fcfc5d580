"""Row 10: learn the style from simulated ratings alone, picks frozen.

    r̂(q, S, a) = β · [picks, style, style × embedding of the preference sentences, Σ φ(q, s) over picks]

Picks learnt from ratings got worse in a probe (−.11 to −.17 stars), so RL moves the style's weights alone
(``GrpoOptions.styles_only``); the picks are the warm start's.

The user is simulated, and the row says so: ratings follow the sample clinic's rule
(``synthetic.portal.conversations.rate_reply``: liked style, facts that matter, noise). A patient likes the style rated
higher in the record, else one by a coin toss. Answers of training episodes whose replies were never scored are drawn
from the flattened warm start and rated; ridge regression on these ratings is the reward of GRPO from the warm start, at
no reward evaluation. The measure is the rating that held-out patients are expected to give.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.linear_model import RidgeCV

from models.refiner import gain_regressors
from models.refiner.grpo import RewardFunction
from models.refiner.inference import PolicyRefiner, compute_choice_probabilities
from models.refiner.interface import STYLES
from models.schema import EditProgram, Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.recipe import TrainingRecipe, train_or_load
from pipelines.splits import TEST
from pipelines.synthetic.portal.conversations import rate_reply
from pipelines.synthetic.portal.replies import BRIEF_WORDS, ReplySentence, RuleReply
from pipelines.synthetic.records.traits import Style

ANSWERS = 8  # rated answers per training episode
DRAWS = 24  # of noise, behind an expected rating
STEPS, QUICK_STEPS = 40, 3
FEWEST = 12  # training episodes with a rating, or the row is left out
LIKED: tuple[Style, Style] = ("brief", "detailed")


def build_rows(bench: Bench) -> list[MetricRow]:
    """Build row 10's rows; none without a simulator's facts or enough ratings."""
    scored = {g.episode.episode_id for g in bench.gains}
    rated = [e for e in bench.train if e.rating is not None and e.facts and e.episode_id not in scored]
    tests = [e for e in bench.test if e.facts]
    if len(rated) < FEWEST or not tests or not bench.gains:
        return []
    likes = find_liked_styles([*bench.train, *bench.gate, *bench.test])
    warm = bench.train_refiner(
        bench.label(bench.gains, []), [], 0
    ).warm_start  # the rated episodes' replies stay unread
    model = _fit_reward(bench, rated, warm, likes)
    steps = QUICK_STEPS if bench.quick else STEPS
    start = (warm.id, warm.policy)
    recipe = TrainingRecipe([], rated, bench.params.train.seed, steps, f"ratings:{warm.id}", start, styles_only=True)
    price = bench.params.train.token_price
    refined = train_or_load(
        bench.settings, recipe, bench.params, bench.encode, _build_reward(rated, model, bench.encode, price)
    ).refined
    return _compare_refiners(tests, refined, warm, model, likes, bench.encode)


def find_liked_styles(episodes: Sequence[Episode]) -> dict[int, Style]:
    """Find the style each patient likes: rated higher, else a seeded coin toss."""
    given: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for e in episodes:
        given[e.subject_id]  # also patients without ratings
        if e.rating is not None:
            style = "brief" if len(" ".join(e.reply).split()) < BRIEF_WORDS else "detailed"
            given[e.subject_id][style].append(e.rating)
    out: dict[int, Style] = {}
    for subject, by_style in given.items():
        if len(by_style) == len(LIKED):
            out[subject] = max(LIKED, key=lambda style: (float(np.mean(by_style[style])), style))
        else:
            out[subject] = random.Random(f"likes/{subject}").choice(LIKED)
    return out


def simulate_rating(episode: Episode, program: EditProgram, likes: Style, rng: random.Random) -> int:
    """Simulate the rating of a program's answer; plain is brief or detailed by chance."""
    style: Style = (
        "brief" if program.style == "brief" or (program.style == "plain" and rng.random() < 0.5) else "detailed"
    )
    facts = episode.facts & {s.key for s in episode.free}
    used = tuple(sorted(facts & set(program.picks)))
    reply = RuleReply("simulated", style, (ReplySentence("x", used),), (), complete=facts <= set(used))
    return rate_reply(reply, likes, rng)


def expect_rating(episode: Episode, program: EditProgram, likes: Style) -> float:
    """Average ``DRAWS`` simulated ratings of an answer from the program."""
    rng = random.Random(f"expected/{episode.episode_id}")
    return float(np.mean([simulate_rating(episode, program, likes, rng) for _ in range(DRAWS)]))


def build_features(episode: Episode, program: EditProgram, encode: CachedEncoder) -> np.ndarray:
    """Build the reward model's features of a program: counts, style, style × preferences, picks."""
    style = np.array([float(program.style == s) for s in STYLES])
    preferring = [s.text for s in episode.free if s.kind == "preference"]
    preference = encode.encode(preferring).mean(0) if preferring else np.zeros(encode.encode(["x"]).shape[1])
    direction = style[STYLES.index("brief")] - style[STYLES.index("detailed")]
    picked = [s for s in episode.free if s.key in program.picks]
    every = gain_regressors.build_gain_features(episode.question, [*picked, episode.free[0]], encode)
    return np.concatenate([[len(picked)], style, preference * direction, every[:-1].sum(0)])


def sample_answers(policy: PolicyRefiner, episode: Episode, count: int, rng: np.random.Generator) -> list[EditProgram]:
    """Sample ``count`` programs, picks by the square root of the policy's probabilities."""
    program = policy.refine(episode.question, episode.segments)
    weights = compute_choice_probabilities(policy, episode.question, episode.segments, program)
    if weights is None or not weights.steps:
        return [program] * count
    by_key = {s.key: s for s in episode.free}
    keys = [k for k in weights.steps[0] if k in by_key]
    chances = np.sqrt(np.array([weights.steps[0][k] for k in keys]) + 1e-9)
    made = []
    for _ in range(count):
        order = rng.choice(len(keys), size=len(keys), replace=False, p=chances / chances.sum())
        wanted = int(rng.integers(0, policy.caps.picks + 1))
        fitting = policy.caps.fit(by_key[keys[i]] for i in order[:wanted])
        made.append(EditProgram(tuple(s.key for s in fitting), str(rng.choice(STYLES))))
    return made


def _fit_reward(bench: Bench, rated: Sequence[Episode], warm: PolicyRefiner, likes: Mapping[int, Style]) -> RidgeCV:
    """Fit ridge regression of simulated ratings on ``build_features``; its penalty by leaving one out."""
    rng = np.random.default_rng(0)
    x, y = [], []
    for e in rated:
        noise = random.Random(f"rated/{e.episode_id}")
        for program in sample_answers(warm, e, ANSWERS, rng):
            x.append(build_features(e, program, bench.encode))
            y.append(simulate_rating(e, program, likes[e.subject_id], noise))
    return RidgeCV(alphas=np.logspace(0, 4, 9)).fit(np.array(x), np.array(y))


def _build_reward(episodes: Sequence[Episode], model: RidgeCV, encode: CachedEncoder, price: float) -> RewardFunction:
    by_id = {e.episode_id: e for e in episodes}

    def of_programs(ids: Sequence[str], programs: Sequence[EditProgram]) -> list[float]:
        x = np.array([build_features(by_id[i], p, encode) for i, p in zip(ids, programs, strict=True)])
        spent = [sum(s.tokens for s in by_id[i].free if s.key in p.picks) for i, p in zip(ids, programs, strict=True)]
        return [round(float(v), 6) for v in model.predict(x) - price * np.array(spent)]

    return of_programs


def _compare_refiners(
    tests: Sequence[Episode],
    refined: PolicyRefiner,
    warm: PolicyRefiner,
    model: RidgeCV,
    likes: Mapping[int, Style],
    encode: CachedEncoder,
) -> list[MetricRow]:
    subjects = [e.subject_id for e in tests]
    given = {}
    for name, who in (("refined", refined), ("warm_start", warm)):
        given[name] = [expect_rating(e, who.refine(e.question, e.segments), likes[e.subject_id]) for e in tests]
    e = bootstrap_difference(given["refined"], given["warm_start"], subjects)
    rng = np.random.default_rng(1)
    others = [(t, p) for t in tests for p in sample_answers(warm, t, 4, rng)]
    predicted = model.predict(np.array([build_features(t, p, encode) for t, p in others]))
    actual = [expect_rating(t, p, likes[t.subject_id]) for t, p in others]
    agreement = float(np.corrcoef(predicted, actual)[0, 1]) if np.ptp(predicted) and np.ptp(actual) else float("nan")
    nan = float("nan")
    return [
        MetricRow.of(10, "ratings_only_refined_vs_warm_start", TEST, e, target=0.0, holds=e.ci_low > 0),
        *(MetricRow.of(10, f"ratings_only_stars_{n}", TEST, bootstrap_mean(v, subjects)) for n, v in given.items()),
        MetricRow.of(
            10, "ratings_only_reward_correlation", TEST, Estimate(agreement, nan, nan, len(actual), len(set(subjects)))
        ),
    ]
