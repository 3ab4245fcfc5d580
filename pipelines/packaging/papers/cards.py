"""The model card and the data card of a release, as Markdown without patient text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentos.personalizer.release import Release


def render_model_card(release: Release, clinic: str, training_card: str, verdict: Mapping[str, Any]) -> str:
    """Render what the release is for, its parts, its limits, and how its refiner was trained."""
    origin = "\n".join(f"| {name} | {value} |" for name, value in _list_parts(release).items())
    return f"""---
language: [en, zh]
tags: [personalisation, prompt-refinement, synthetic-or-local-data]
---
# Release {release.version}

## Intended use

The endpoint of the clinic `{clinic}` answers patients' messages with it: the refiner chooses which sentences of the
record stand in the prompt, a language model writes the answer, and a check may withhold it. A clinician answers for
what is sent. It is no medical device. It is not for emergencies, diagnosis, dosing, or another clinic's patients.

## Parts

| part | version |
| --- | --- |
{origin}

## Data window

Records known by {release.as_of}; {len(release.events)} batches of events. See `data_card.md`.

## How it was measured

Verdict of night {verdict.get("night", release.night)}: **{verdict["decision"].upper()}**: {verdict["why"]}.
Figures, slices and safety: `evaluation.md`. `refined` is the served refiner where the verdict is PROMOTE, `champion`
elsewhere. Drift of the night: `reports/drift/{release.night}.html` in the workspace.

## Limits

- Slices with too few patients were not tested; `evaluation.md` says which.
- Prompts in Chinese are not scored: the reward's language model reads English replies.
- Only facts that the clinic's records state can be chosen, and pinned facts are never left out.
- Prompts for 20 invented cases are in `prompts.json`, the differences from the former release in
  `prompt_differences.json`.

## Training

{_indent_headings(training_card)}"""


def render_data_card(release: Release, episodes: Mapping[str, Any], synthetic: bool) -> str:
    """Render what the release was trained and measured on."""
    kind = "Synthetic: no person's record is in it." if synthetic else "The clinic's own records, pseudonymised."
    counts = "\n".join(f"| {name} | {episodes.get(name, '–')} |" for name in ("patients", "train", "gate", "test"))
    params = release.params.get("episodes", {})
    drops = "\n".join(
        f"| {name} | {batch['sha256'][:16]} | {batch['drop'][:16]} |" for name, batch in release.events.items()
    )
    return f"""# Data of release {release.version}

{kind} Names, addresses and narrative text do not pass the intake; free text is de-identified first.

| episodes (a question, its reply, what was known) | number |
| --- | --- |
{counts}

Split by patient and by time: a share of {params.get("gate_share", "–")} of patients decides the gate and
{params.get("test_share", "–")} is the locked test split, both with questions after the training's (quantile
{params.get("time_quantile", "–")} of question times).
Content hash of the episodes: `{release.episodes or "none"}`.

| batch of events | SHA-256 | content of its drop |
| --- | --- | --- |
{drops}
"""


def _list_parts(release: Release) -> dict[str, str]:
    return {
        "refiner": f"{release.refiner} ({release.refiner_kind})",
        "initial ranking": release.ranker or "nearness to the question",
        "sentence encoder": release.encoder,
        "prompt template": release.template,
        "features": f"{release.feature_service}, schema {release.feature_schema}",
        "language model": release.llm,
        "DVC experiment": release.experiment,
    }


def _indent_headings(card: str) -> str:
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in card.splitlines()) + "\n"
