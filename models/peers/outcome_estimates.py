"""Shrink peers' outcomes toward the cohort's, and state only those that beat it.

    ŷ_o = coarsen( c_o + n / (n + m_o) · (ȳ_o − c_o) )
    m_o = n̄ · (1 − w) / w,   w = Σ (y' − c)(ȳ − c) / Σ (ȳ − c)²   cut to 0 … 1, over training patients

ȳ is the mean of n peers, c that of the rest of the cohort, y' the patient's own outcome half a year later. n / (n + m)
is the credibility of n observations (Bühlmann 1967; Efron and Morris 1975, "Data analysis using Stein's estimator",
JASA 70:311): m peers weigh as much as the whole cohort. w is the least-squares weight of n̄ peers, the mean number; w =
0 gives the cohort's mean, which nothing then distinguishes from what is known of anyone.

Whether ŷ is worth a sentence is measured on patients of the gate split, never those of the test split: an outcome is
*stated* where ŷ's squared error is lower than c's by an interval above 0, at a confidence divided among all outcomes.
The paper says nothing of either step. One function serves prompts, the page, agents and the measurement:
``estimate_outcomes``.

Run: ``pmlm stage episodes`` (the findings), ``pmlm ask``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.feature_row import read_number
from models.peers.aggregates import OUTCOMES, PeerStatistic, coarsen
from models.schema import FeatureRow

FILE = "peer_outcomes.json"
NEVER = 0.0  # weight of peers who foretell nothing


@dataclass(frozen=True, slots=True)
class OutcomeFinding:
    """What was found of one outcome.

    ``support`` is m, None where peers weigh nothing; ``better`` the cohort's squared error less the estimate's, in
    units of the outcome's variance, with its interval, over ``n`` outcomes of ``patients`` gate patients. All None or 0
    where there was nothing to measure on.
    """

    support: float | None
    better: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    patients: int

    @property
    def is_stated(self) -> bool:
        """Whether the estimate beats the cohort's mean."""
        return self.support is not None and self.ci_low is not None and self.ci_low > 0


#: Findings by outcome; an outcome without one is not stated.
Findings = Mapping[str, OutcomeFinding]
NO_FINDINGS: Findings = {}


@dataclass(frozen=True, slots=True)
class OutcomeEstimate:
    """One outcome of patients like this one: the estimate as it is read, and how many peers are behind it.

    ``exact`` is the estimate before rounding.
    """

    outcome: PeerStatistic
    value: float
    exact: float
    peers: int


def estimate_outcomes(row: FeatureRow, findings: Findings) -> list[OutcomeEstimate]:
    """Estimate each outcome that is stated, from a feature row; none with fewer than k peers."""
    return [e for e in shrink_outcomes(row, findings) if findings[e.outcome.name].is_stated]


def shrink_outcomes(row: FeatureRow, findings: Findings) -> list[OutcomeEstimate]:
    """Shrink each outcome of which there is a finding, stated or not, from a feature row."""
    n = int(read_number(row, "peers_count") or 0)
    found = []
    for o in OUTCOMES if n else ():
        peers, cohort = read_number(row, f"peer_{o.name}"), read_number(row, f"cohort_{o.name}")
        if o.name in findings and peers is not None and cohort is not None:
            exact = cohort + weigh_peers(n, findings[o.name].support) * (peers - cohort)
            found.append(OutcomeEstimate(o, coarsen(exact, o.step), exact, n))
    return found


def weigh_peers(n: int, support: float | None) -> float:
    """The weight n / (n + m) of ``n`` peers; 0 where they weigh nothing."""
    return NEVER if support is None else n / (n + support)


def fit_support(
    later: NDArray[np.float64], peers: NDArray[np.float64], cohort: NDArray[np.float64], count: NDArray[np.float64]
) -> float | None:
    """Fit m to training patients' later outcomes, all ``[n]``; None where peers predict nothing beyond the cohort."""
    away = peers - cohort
    spread = float(away @ away)
    weight = min(1.0, float((later - cohort) @ away) / spread) if spread > 0 else NEVER
    return round(float(count.mean()) * (1 - weight) / weight, 4) if weight > NEVER else None


def save_findings(folder: Path, findings: Findings) -> None:
    """Write findings into ``folder`` as JSON, in the order of their names; equal findings give equal bytes."""
    content = {name: asdict(found) for name, found in sorted(findings.items())}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(folder / FILE)


def load_findings(folder: Path) -> Findings:
    """Load the findings in ``folder``; none in releases of earlier versions: nothing is then stated."""
    if not (folder / FILE).exists():
        return NO_FINDINGS
    return {name: OutcomeFinding(**found) for name, found in json.loads((folder / FILE).read_text()).items()}
