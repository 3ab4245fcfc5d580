"""Commands: ``pmlm episodes``, ``train``, ``evaluate``, ``gate``, ``scores``, ``calibrate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmlm.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipelines.runs import StageSummary

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of dated drops.")]
Night = Annotated[str | None, typer.Option("--night", help="YYYYMMDD; by default the last night.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``pmlm``."""
    app.command(epilog="Example: pmlm episodes")(episodes)
    app.command(epilog="Example: pmlm train --night 20260601")(train)
    app.command(epilog="Example: pmlm evaluate --quick --json")(evaluate)
    app.command(epilog="Example: pmlm gate")(gate)
    app.command(epilog="Example: pmlm scores scores.parquet")(scores)
    app.command(epilog="Example: pmlm calibrate graded.jsonl")(calibrate)


def episodes(drops: Drops = None, night: Night = None, as_json: Json = False) -> None:
    """Build episodes: each question with its reply and what was known when it was asked."""
    _run_and_print("episodes", drops, night, as_json)


def train(drops: Drops = None, night: Night = None, as_json: Json = False) -> None:
    """Train a challenger for a night, with or without cause: from the champion or a warm start, then RL."""
    from pipelines.night import night as nights

    settings = load_settings(drops=drops)
    chosen = night or nights.find_latest_night(settings)
    nights.force_training(settings, "asked for by `pmlm train`", chosen)
    _run_and_print("train", drops, chosen, as_json)


def evaluate(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer episodes, one seed: minutes instead of hours.")] = False,
    external: Annotated[
        Path | None, typer.Option(help="Also measure on these episodes (JSON Lines: question, segments, reference).")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of what is trained or generated here.")] = 3,
    budget: Annotated[int | None, typer.Option(min=1, help="New reward evaluations at most, training's too.")] = None,
    external_train: Annotated[
        Path | None, typer.Option(help="Episodes of the external file's kind to train on before it is measured.")
    ] = None,
    rows: Annotated[
        str, typer.Option(help="Measure these alone: numbers, parts or names of rows, separated by commas.")
    ] = "",
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Measure the method's table on the last training, resuming finished parts; --json prints JSON Lines."""
    import warnings

    from rich.console import Console

    warnings.filterwarnings("ignore", category=FutureWarning)
    from pipelines.evaluation.nightly.metrics import print_table
    from pipelines.evaluation.study.evaluate import StudyOptions, evaluate_clinic
    from pipelines.evaluation.study.page import page_folder
    from pipelines.evaluation.study.selection import split_words

    settings = load_settings(drops=drops)
    options = StudyOptions(quick, external, seeds, budget, external_train, split_words(rows))
    progress = Console(stderr=True)

    def report(part: str, seconds: float, count: int) -> None:
        progress.print(f"✓ {part:18} {count:3} rows  {seconds:6.1f} s")

    measured = evaluate_clinic(settings, options, report)
    if as_json:
        for row in measured:
            typer.echo(json.dumps(row.json()))
        return
    print_table(measured)
    typer.echo(f"page: {page_folder(settings) / 'index.html'}")


def gate(drops: Drops = None, night: Night = None, as_json: Json = False) -> None:
    """Decide: PROMOTE, HOLD, REJECT, or WAITING outside the change plan; writes metrics/gate.json."""
    settings = load_settings(drops=drops)
    summary = _run_stage("gate", settings, night)
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
        return
    from pipelines.evaluation.nightly.gate import describe_champion

    _print_summary(summary)
    typer.echo(f"served from the next release on: {describe_champion(settings)}")


def scores(
    path: Annotated[Path, typer.Argument(help="The file to write; a clinic ships it as scores.parquet.")],
    drops: Drops = None,
) -> None:
    """Export the clinic's score cache, so that another machine can reuse the scores."""
    from pipelines.training.rewards import export_scores

    typer.echo(f"{export_scores(load_settings(drops=drops), path)} scores in {path}")


def calibrate(
    graded: Annotated[
        Path, typer.Argument(help="Graded answers (JSON Lines: question, reply, answer, grade).", exists=True)
    ],
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Calibrate the judge (PMLM_JUDGE_MODEL) against human grades; PMLM_SCORER=judge needs it."""
    from models.reward.judge import CalibrationError, calibrate_judge, read_graded_answers
    from models.reward.request_pool import ScorerError
    from pipelines.training import scorer_choice
    from pmlm.errors import TrainingError

    settings = load_settings(drops=drops)
    try:
        fitted = calibrate_judge(
            scorer_choice.build_judge(settings), read_graded_answers(graded), settings.scorer_concurrency
        )
    except (CalibrationError, ScorerError) as error:
        raise TrainingError(str(error)) from error
    fitted.write(scorer_choice.calibration_path(settings))
    if as_json:
        typer.echo(json.dumps(asdict(fitted)))
        return
    typer.echo(
        f"{fitted.judge}: Spearman {fitted.spearman:.2f} (p {fitted.p:.1g}) with {fitted.n} human grades; "
        f"mean error {fitted.error:.2f}, of always saying the mean {fitted.plain_error:.2f}"
    )


def _run_stage(name: str, settings: Settings, night: str | None) -> StageSummary:
    from pipelines.night import night as nights

    return nights.run_stage(settings, name, night)


def _run_and_print(name: str, drops: Path | None, night: str | None, as_json: bool) -> None:
    summary = _run_stage(name, load_settings(drops=drops), night)
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        _print_summary(summary)


def _print_summary(summary: StageSummary) -> None:
    figures = ", ".join(f"{name} {value}" for name, value in summary.figures.items())
    typer.echo(f"{summary.stage} {summary.night}: {summary.status} in {summary.seconds:.1f} s ({figures})")
    if summary.detail:
        typer.echo(f"  {summary.detail}")
