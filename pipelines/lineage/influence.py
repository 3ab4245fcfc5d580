"""Trace a line forward: its events, and the features, episodes and releases resting on it.

    line → events → feature rows (as of each moment since) → episodes of the saved nights → releases trained on them

A feature row *names* a line where one of its source columns does; a count or a mean names none, so every later row of
the patient may rest on it. Other patients' peer aggregates count at least k patients and are not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines import splits
from pipelines.features.engines.feature_files import read_night
from pipelines.lineage.record_events import RecordEvent, find_events, find_record
from pipelines.lineage.release_origin import list_trainings, trace_refiner
from pipelines.lineage.source_lines import SourceLine, read_line
from pipelines.lineage.trained_nights import SavedExperiment, read_episodes, read_experiment
from pipelines.packaging import stored_releases
from pipelines.records.log import quarantine
from pmlm.settings import Settings

_SOURCES = ("_source", "_sources")
_PATIENT, _AS_OF = "subject_id", "event_timestamp"  # the key of a feature row


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """A group's rows of the line's patients since it was known: how many name it, how many there are.

    ``nights`` are those of the feature files that have the rows which name it.
    """

    group: str
    naming: int
    since: int
    nights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EpisodeUse:
    """An episode that the line is part of, and the nights that had it.

    ``role``: ``question``, ``reply`` or ``rating`` where it is the line itself, else ``fact``.
    """

    episode: str
    role: str
    split: str
    nights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseUse:
    """A release that knows the line's events; ``refiner`` and ``ranker`` count the training episodes that rest on it.

    ``judged`` counts the episodes of the gate and test splits.
    """

    release: str
    night: str
    current: bool
    refiner: int
    ranker: int
    judged: int


@dataclass(frozen=True, slots=True)
class LineInfluence:
    """What a resource of a line became; ``fate`` says why there is no event where there is none."""

    line: SourceLine
    fate: str
    events: tuple[RecordEvent, ...]
    features: tuple[FeatureUse, ...]
    episodes: tuple[EpisodeUse, ...]
    releases: tuple[ReleaseUse, ...]


def trace_line(settings: Settings, place: str) -> list[LineInfluence]:
    """Trace the resources of a line, ``FILE:LINE``, forward; ``RecordsError`` where there is none."""
    return [_trace_resource(settings, line) for line in read_line(settings, place)]


def _trace_resource(settings: Settings, line: SourceLine) -> LineInfluence:
    events = find_events(settings, [line.source])
    if not events:
        return LineInfluence(line, _explain_absence(settings, line), (), (), (), ())
    roles = _find_roles(settings, events)
    nights = [read_experiment(settings, path.parent.name) for path in sorted(settings.runs.glob("[0-9]*/save.json"))]
    used = {e.night: _find_episodes(settings, e, line.source, events, roles) for e in nights if e.revision}
    return LineInfluence(
        line,
        f"{len(events)} {'event' if len(events) == 1 else 'events'}",
        tuple(events),
        tuple(_count_rows(settings, line.source, events)),
        tuple(_merge_episodes(used)),
        tuple(_list_releases(settings, events, used)),
    )


def _explain_absence(settings: Settings, line: SourceLine) -> str:
    name = line.file.partition("/")[2] or line.file
    for row in quarantine.read_rows(settings, line.night):
        if (row.file, row.line, row.entry) == (name, line.line, line.entry):
            return f"no event: in quarantine by the rule {row.rule}"
    return "no event: not taken in yet, of a type that is not read, or it repeats or precedes another version"


def _find_roles(settings: Settings, events: Iterable[RecordEvent]) -> dict[str, str]:
    """By episode, which is named by its question: whether the line itself is the question, the reply or the rating."""
    roles: dict[str, str] = {}
    for event in events:
        if event.kind == "question":
            roles[event.record] = "question"
        elif event.kind == "reply" and event.parent:
            roles[event.parent] = "reply"
        elif event.kind == "rating" and event.parent:
            replies = find_record(settings, event.parent)
            roles |= {reply.parent: "rating" for reply in replies if reply.parent}
    return roles


def _find_episodes(
    settings: Settings, saved: SavedExperiment, source: str, events: Iterable[RecordEvent], roles: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Of a saved night, the episodes that rest on the line: their role and split."""
    episodes = read_episodes(settings, saved)
    if episodes is None:
        return {}
    subjects = sorted({event.subject for event in events})
    mine = episodes.filter(pl.col("subject_id").is_in(subjects))
    stated = pl.col("sources").list.eval(pl.element().list.contains(source)).list.any()
    rows = mine.filter(pl.col("episode_id").is_in(sorted(roles)) | stated)
    return {
        row["episode_id"]: (roles.get(row["episode_id"], "fact"), row["split"]) for row in rows.iter_rows(named=True)
    }


def _merge_episodes(used: Mapping[str, Mapping[str, tuple[str, str]]]) -> Iterable[EpisodeUse]:
    nights: dict[tuple[str, str, str], list[str]] = {}
    for night, episodes in sorted(used.items()):
        for episode, (role, split) in episodes.items():
            nights.setdefault((episode, role, split), []).append(night)
    return [EpisodeUse(*key, tuple(found)) for key, found in sorted(nights.items())]


def _list_releases(
    settings: Settings, events: Iterable[RecordEvent], used: Mapping[str, Mapping[str, tuple[str, str]]]
) -> Iterable[ReleaseUse]:
    """The releases whose event batches include the line's, in order of night."""
    batches = {event.batch for event in events}
    current = stored_releases.find_current(settings)
    for release in stored_releases.list_manifests(settings).values():
        if not batches & release.events.keys():
            continue
        trainings = list_trainings(trace_refiner(settings, release.refiner, release.refiner_kind))
        learnt = {
            e for saved in trainings for e, (_, split) in used.get(saved.night, {}).items() if split == splits.TRAIN
        }
        own = used.get(release.night, {})
        ranked = [e for e, (_, split) in own.items() if split == splits.TRAIN] if release.ranker else []
        judged = [e for e, (_, split) in own.items() if split != splits.TRAIN]
        yield ReleaseUse(release.id, release.night, release.id == current, len(learnt), len(ranked), len(judged))


def _count_rows(settings: Settings, source: str, events: list[RecordEvent]) -> Iterable[FeatureUse]:
    """Count, per feature group, the patients' rows since the line was known, and those that name it."""
    subjects, known = sorted({event.subject for event in events}), _find_known(settings, events)
    files: dict[str, list[Path]] = {}
    for path in sorted(settings.features.glob("*/*.parquet")):
        files.setdefault(path.parent.name, []).append(path)
    for group, paths in files.items():
        rows = pl.scan_parquet(paths, include_file_paths="file")
        rows = rows.filter(pl.col(_PATIENT).is_in(subjects), pl.col(_AS_OF) >= known)
        columns = rows.collect_schema()
        named = [_names_source(name, columns[name], source) for name in columns if name.endswith(_SOURCES)]
        marked = rows.select("file", naming=pl.any_horizontal(named) if named else pl.lit(False)).collect()
        named_in = marked.filter("naming")["file"]
        yield FeatureUse(group, len(named_in), len(marked), tuple(sorted(set(map(read_night, named_in)))))


def _names_source(name: str, kind: pl.DataType, source: str) -> pl.Expr:
    listed = isinstance(kind, pl.List)
    return (pl.col(name).list.contains(source) if listed else pl.col(name) == source).fill_null(False)


def _find_known(settings: Settings, events: Iterable[RecordEvent]) -> datetime:
    """When the line's first event became known."""
    paths = [settings.events / batch for batch in sorted({event.batch for event in events})]
    sources = sorted({event.source for event in events})
    known = pl.scan_parquet(paths).filter(pl.col("source").is_in(sources)).select(pl.col("known_at").min())
    moment: datetime = known.collect().item()
    return moment
