"""Prometheus metrics ``pmlm_*`` with labels from closed lists of ours.

Routes are named as ``auth.routes`` names them, so that no path (one of ours has a patient in it) becomes a label.
Each worker counts in files of its own (``PROMETHEUS_MULTIPROC_DIR``, set by BentoML); ``/metrics`` adds them up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, multiprocess

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.999, 1.0)
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "PATCH"})
#: The parts of a request that are timed apart (``PreparedPrompt.seconds``).
PARTS = ("features", "method", "llm", "chat")
ERROR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_ ]{0,39}")
OTHER = "other"

REQUESTS = Counter("pmlm_requests", "Requests answered.", ["route", "method", "status"])
SECONDS_OF = Histogram(
    "pmlm_request_seconds", "From a request's first byte to its answer's last.", ["route"], buckets=SECONDS
)
RUNNING = Gauge("pmlm_requests_running", "Requests being answered.", multiprocess_mode="livesum")
PART_SECONDS = Histogram("pmlm_part_seconds", "The parts of an interaction, by name.", ["part"], buckets=SECONDS)
INTERACTIONS = Counter("pmlm_interactions", "Prompts made, by surface.", ["endpoint", "personalization"])
RED_FLAGS = Counter("pmlm_red_flags", "Questions by the label that triage gave them.", ["label"])
LLM_ERRORS = Counter("pmlm_llm_errors", "Language model calls that gave no answer, by reason.", ["error"])
LLM_TOKENS = Counter(
    "pmlm_llm_tokens",
    "Tokens that language models read and wrote, as their servers count.",
    ["release", "model", "kind"],
)
LLM_COST = Counter("pmlm_llm_cost", "What those tokens cost, in the currency of PMLM_LLM_PRICES.", ["release", "model"])
LLM_UNCOUNTED = Counter("pmlm_llm_uncounted", "Answers whose server has not counted tokens.", ["release", "model"])
FINDINGS = Counter("pmlm_answers_withheld", "Answers that failed the safety check, by finding.", ["finding"])
READINGS = Counter("pmlm_second_readings", "Messages by what the second reader of triage did.", ["outcome"])
SHED = Counter("pmlm_shed", "Requests turned away because the endpoint was full.", ["route"])
UNRECORDED = Counter("pmlm_unrecorded", "Writes that a store did not take in time, by store.", ["store"])
CAP_HITS = Counter("pmlm_cap_hits", "Requests and ratings beyond a limit, by limit.", ["cap"])
FEEDBACK = Counter("pmlm_feedback", "Feedback received, by kind.", ["kind"])
SHADOW = Counter("pmlm_shadow", "Prompts that the shadow release was to choose too, by outcome.", ["outcome"])
SHADOW_OVERLAP = Histogram(
    "pmlm_shadow_overlap", "Facts chosen by both releases, of those chosen by either.", buckets=SHARES
)
SHADOW_SECONDS = Histogram("pmlm_shadow_seconds", "What a choice of the shadow release took.", buckets=SECONDS)
DRAFTS = Counter("pmlm_drafts", "Reply drafts asked for, by whether there was one.", ["outcome"])
CARDS = Counter("pmlm_cds_cards", "CDS Hooks cards given, by hook and indicator.", ["hook", "indicator"])


def count_request(route: str, method: str, status: int, seconds: float, *, retry_after: bool) -> None:
    """Count one answered request; ``retry_after`` says whether the answer had a ``Retry-After``."""
    REQUESTS.labels(route, method if method in METHODS else OTHER, str(status)).inc()
    SECONDS_OF.labels(route).observe(seconds)
    if status == 503 and retry_after:
        SHED.labels(route).inc()
    if status == 429:
        CAP_HITS.labels("rate").inc()


def count_interaction(
    endpoint: str, personalization: str, label: str, seconds: Mapping[str, float], error: str | None,
    findings: Iterable[str],
) -> None:  # fmt: skip
    """Count one recorded interaction and its parts."""
    INTERACTIONS.labels(endpoint, personalization).inc()
    RED_FLAGS.labels(label).inc()
    for part, took in seconds.items():
        PART_SECONDS.labels(part if part in PARTS else OTHER).observe(took)
    if error:
        LLM_ERRORS.labels(error_name(error)).inc()
    for finding in findings:
        FINDINGS.labels(error_name(finding)).inc()


def count_shadow(outcome: str) -> None:
    """Count a prompt by what became of it at the shadow release."""
    SHADOW.labels(outcome).inc()


def observe_shadow(overlap: float, seconds: float) -> None:
    """Count a prompt that the shadow release has chosen too, and how far it agrees."""
    SHADOW.labels("compared").inc()
    SHADOW_OVERLAP.observe(overlap)
    SHADOW_SECONDS.observe(seconds)


def forget_dead_workers() -> None:
    """Take the running requests of workers that were killed out of the sum; what they had counted stays."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for path in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = path.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            multiprocess.mark_process_dead(int(pid))


def count_reading(outcome: str) -> None:
    """Count what became of one message at the second reader of triage."""
    READINGS.labels(error_name(outcome)).inc()


def error_name(error: str) -> str:
    """The name that ends a failure's text; ``other`` where there is none."""
    name = error.rpartition(": ")[2]
    return name if ERROR_NAME.fullmatch(name) else OTHER
