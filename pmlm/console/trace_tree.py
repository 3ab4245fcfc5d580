"""Draw a trace as a tree."""

from __future__ import annotations

from rich.markup import escape
from rich.tree import Tree

from pipelines.lineage.record_events import RecordEvent
from pipelines.lineage.release_origin import BatchOrigin, RefinerOrigin, ReleaseOrigin
from pipelines.lineage.source_lines import SourceLine
from pipelines.lineage.trained_nights import SavedExperiment
from pmlm.console.answer_trace import AnswerTrace, LineTrace, TracedSegment

SHORT = 12  # digits of a hash that a tree shows; --json has all
_SUMMARIES = {
    "record": "what the record as a whole has, or lacks",
    "rules": "a fixed sentence",
    "peers": "an aggregate over other patients",
    "model": "the trajectory model",
    "visits": "a count",
    "ratings": "a count",
}


def draw_answer(trace: AnswerTrace) -> Tree:
    """The tree of an answer: its prompt's sentences to their lines, its release to the drops."""
    tree = Tree(f"[bold]answer[/] {trace.answer}  {trace.endpoint}, {trace.patient}, as of {trace.versions.as_of[:10]}")
    prompt = tree.add(f"[bold]prompt[/] {len(trace.segments)} sentences, {trace.sentences}")
    for segment in trace.segments:
        _add_segment(prompt, segment)
    if trace.release is None:
        tree.add(f"[bold]release[/] {trace.versions.release}: [yellow]no manifest of it is stored[/]")
    else:
        _add_release(tree, trace.release)
    return tree


def draw_line(trace: LineTrace) -> Tree:
    """The tree of a line: its events, the feature rows, episodes, releases and answers that rest on it."""
    influence = trace.influence
    tree = Tree(f"[bold]line[/] {_format_line(influence.line)}")
    events = tree.add(f"[bold]events[/] {escape(influence.fate)}")
    for event in influence.events:
        events.add(f"{_format_event(event)}  {event.patient}")
    if not influence.events:
        return tree
    features = tree.add("[bold]feature rows[/] of the patient since it was known")
    for use in influence.features:
        nights = f", in the files of {_format_nights(use.nights)}" if use.nights else ""
        features.add(f"{use.group}: {use.naming:,} of {use.since:,} name it{nights}")
    episodes = tree.add(f"[bold]episodes[/] {len({use.episode for use in influence.episodes})}")
    for one in influence.episodes:
        episodes.add(f"{one.episode}  {one.role}, {one.split} split, in the nights {_format_nights(one.nights)}")
    releases = tree.add(f"[bold]releases[/] {len(influence.releases)} know its events")
    for release in influence.releases:
        releases.add(
            f"{release.release}{' (current)' if release.current else ''}  night {release.night}: "
            f"refiner learnt from {release.refiner} episodes with it, ranker from {release.ranker}, "
            f"judged on {release.judged}"
        )
    answers = tree.add(f"[bold]answers[/] {sum(bool(use.stated) for use in trace.answers)} state it")
    for answer in trace.answers:
        words = f"states {', '.join(answer.stated)}" if answer.stated else f"left out {', '.join(answer.left_out)}"
        answers.add(f"{answer.answer}  {answer.endpoint}, release {answer.release}: {escape(words)}")
    return tree


def _add_segment(prompt: Tree, segment: TracedSegment) -> None:
    mark = "[dim]pinned[/] " if segment.pinned else ""
    node = prompt.add(f"{mark}{escape(segment.key)}: {escape(segment.text) or '[yellow]no longer computed[/]'}")
    for traced in segment.events:
        event = node.add(_format_event(traced.event))
        line = _format_line(traced.line) if traced.line else "[yellow]in no drop: mended in quarantine, or changed[/]"
        event.add(line)
    for source in segment.summaries:
        node.add(f"[dim]{escape(source)}  {_SUMMARIES.get(source.partition(':')[0], 'no event of the log')}[/]")


def _add_release(tree: Tree, release: ReleaseOrigin) -> None:
    gone = "" if release.files else "  [yellow]its files were pruned[/]"
    node = tree.add(f"[bold]release[/] {release.id}  night {release.night}{gone}")
    node.add(f"bento {release.bento}{'' if release.bento_stored else '  [yellow]no longer in the store[/]'}")
    _add_refiner(node, release.refiner)
    for name, value in (
        ("encoder", release.encoder),
        ("ranker", release.ranker or "nearness to the question"),
        ("template", release.template),
        ("features", f"{release.feature_service}, schema {release.feature_schema}"),
        ("language model", release.llm),
    ):
        node.add(f"{name} {escape(value)}")
    _add_experiment(node, release.experiment)
    params = node.add("params")
    for section, values in release.params.items():
        params.add(escape(f"{section}: " + ", ".join(f"{name}={value}" for name, value in values.items())))
    node.add(f"episodes {_shorten(release.episodes)}")
    batches = node.add(f"event batches {len(release.batches)}")
    for batch in release.batches:
        _add_batch(batches, batch)


def _add_refiner(node: Tree, refiner: RefinerOrigin, what: str = "refiner") -> None:
    if refiner.weights is None:
        node.add(f"{what} {refiner.id} ({refiner.kind}): it has no weights here")
        return
    trained = f"trained in night {refiner.trained} from a {refiner.start}" if refiner.trained else "of an unknown night"
    found = node.add(f"{what} {refiner.id} ({refiner.kind}), {trained}, weights {_shorten(refiner.weights)}")
    if refiner.experiment:
        revision = _shorten(refiner.experiment.revision)
        found.add(
            f"experiment {refiner.experiment.experiment}  revision {revision}, episodes {_shorten(refiner.episodes)}"
        )
    for former in refiner.continued:
        _add_refiner(found, former, "continued")


def _add_experiment(node: Tree, saved: SavedExperiment) -> None:
    if saved.revision is None:
        node.add(f"experiment {saved.experiment}: [yellow]not saved[/]")
        return
    outs = node.add(f"experiment {saved.experiment}  revision {_shorten(saved.revision)}")
    for path, md5 in saved.outs.items():
        outs.add(f"[dim]{escape(path)} md5 {md5}[/]")


def _add_batch(node: Tree, batch: BatchOrigin) -> None:
    found = node.add(f"{batch.batch}  sha256 {_shorten(batch.sha256)}  {_format_state(batch.intact)}")
    drop = batch.drop or f"drop of {batch.night}"
    found.add(f"{escape(drop)}  sha256 {_shorten(batch.drop_sha256)}  {_format_state(batch.drop_intact)}")


def _format_state(intact: bool | None) -> str:
    return {True: "[green]as recorded[/]", False: "[red]changed since[/]", None: "[yellow]gone[/]"}[intact]


def _format_event(event: RecordEvent) -> str:
    name = f" {event.name}" if event.name else ""
    what = escape(f"{event.kind} {event.code}{name}")
    return f"{what}  record {event.record}, batch {event.batch}, source {_shorten(event.source)}"


def _format_line(line: SourceLine) -> str:
    entry = f" entry {line.entry}" if line.entry else ""
    digest = f"sha256 {_shorten(line.sha256)}" if line.sha256 else f"source {_shorten(line.source)}"
    return f"{escape(line.file)}:{line.line}{entry}  {escape(line.type)}  {digest}"


def _format_nights(nights: tuple[str, ...]) -> str:
    return nights[0] if len(nights) == 1 else f"{nights[0]} to {nights[-1]}"


def _shorten(digest: str | None) -> str:
    return digest[:SHORT] if digest else "none"
