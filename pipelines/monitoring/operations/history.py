"""List nights with their stages, the gate's judgements, the champions, and what prompts cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pipelines.monitoring.operations.summaries import NightRead
from pipelines.runs import StageSummary
from pipelines.training.champion_history import GATE, read_history
from pmlm.operations_types import ChampionLine, GateLine, NightLine, StageLine, TokensLine
from pmlm.settings import Settings


def list_nights(nights: Sequence[NightRead], k: int) -> Iterator[NightLine]:
    """Each night, with the resources read and quarantined."""
    for one in nights:
        records = one.stages.get("records")
        yield NightLine(
            night=one.night,
            state=_describe_state(one, is_last=one is nights[-1]),
            seconds=round(sum(stage.seconds for stage in one.stages.values()), 1),
            read=records.rows_in if records else 0,
            quarantined=records.quarantined if records else 0,
            stages=[_describe_stage(stage, k) for stage in one.stages.values()],
            command=f"pmlm status --night {one.night}",
        )


def list_judgements(nights: Sequence[NightRead], k: int) -> Iterator[GateLine]:
    """The gate's verdict of each night in which it judged a challenger."""
    for one in nights:
        figures = one.find_figures("gate")
        if figures.get("challenger"):
            enough = figures.get("patients", 0) >= k
            yield GateLine(
                night=one.night,
                decision=figures["decision"],
                challenger=figures["challenger"],
                champion=figures.get("champion"),
                difference=figures["difference"] if enough else None,
                low=figures["ci_low"] if enough else None,
                high=figures["ci_high"] if enough else None,
                command=f"pmlm status --night {one.night}",
            )


def list_champions(settings: Settings) -> Iterator[ChampionLine]:
    """The history of the champion. Names and reasons of persons stay in it: they are free text."""
    for change in read_history(settings):
        yield ChampionLine(
            at=change.at,
            night=change.night,
            action=change.action,
            by="gate" if change.by == GATE else "person",
            version=change.version,
            refiner=change.after,
            command="pmlm releases",
        )


def list_tokens(nights: Sequence[NightRead], k: int) -> Iterator[TokensLine]:
    """The tokens of refined prompts, for each night that evaluated a challenger on at least ``k`` questions."""
    for one in nights:
        refined = one.find_figures("evaluate").get("refined_tokens")
        if refined is not None and one.stages["evaluate"].rows_in >= k:
            yield TokensLine(night=one.night, refined=round(refined, 1), command="pmlm evaluate --json")


def _describe_state(one: NightRead, is_last: bool) -> Literal["finished", "taken in", "not finished"]:
    if one.find_figures("save").get("finished"):
        return "finished"
    return "taken in" if "save" in one.stages and not is_last else "not finished"


def _describe_stage(stage: StageSummary, k: int) -> StageLine:
    return StageLine(
        stage=stage.stage,
        status=stage.status,
        seconds=stage.seconds,
        rows_in=None if 0 < stage.rows_in < k else stage.rows_in,
        rows_out=None if 0 < stage.rows_out < k else stage.rows_out,
        quarantined=stage.quarantined,
    )
