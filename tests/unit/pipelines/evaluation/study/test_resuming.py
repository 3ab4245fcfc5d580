"""``--rows`` and resuming: what is asked for is measured, once, and again where anything that it depends on changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_ratio
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import evaluate, page
from pipelines.evaluation.study.evaluate import StudyOptions
from pipelines.evaluation.study.selection import StudyPart, select_parts, split_words
from pmlm.errors import TrainingError
from pmlm.settings import Settings


def _row(number: int, name: str) -> MetricRow:
    return MetricRow.of(number, name, "test", Estimate(0.1, 0.05, 0.2, 9, 3))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts built so far, of a study of three parts."""
    names: list[str] = []

    def part(name: str, inputs: tuple[str, ...], *rows: MetricRow) -> StudyPart:
        def build() -> list[MetricRow]:
            names.append(name)
            return list(rows)

        return StudyPart(name, frozenset(r.row for r in rows), tuple(r.name for r in rows), inputs, build)

    parts = [
        part("changes", (), _row(3, "change_recall")),
        part("training", ("training",), _row(13, "training_steps")),
        part("peers", (), _row(4, "peer_error"), _row(4, "peer_coverage")),
    ]
    monkeypatch.setattr(evaluate.unscored_parts, "list_parts", lambda *_: parts)
    return names


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(home=tmp_path / "home", drops=tmp_path / "drops")
    found.events.mkdir(parents=True)
    return found


def _run(settings: Settings, *rows: str) -> list[str]:
    return [row.name for row in evaluate.evaluate_clinic(settings, StudyOptions(rows=rows)) if "cost_" not in row.name]


def test_only_what_is_asked_for_is_measured_by_number_part_or_row(settings: Settings, built: list[str]) -> None:
    assert _run(settings, "3") == ["change_recall"]
    assert _run(settings, "peer_coverage") == ["peer_coverage"]
    assert _run(settings, "training", "3") == ["change_recall", "training_steps"]
    assert built == ["changes", "peers", "training"]


def test_a_run_goes_on_after_its_finished_parts_and_the_file_has_them_all(settings: Settings, built: list[str]) -> None:
    _run(settings, "3")
    everything = _run(settings)
    assert built.count("changes") == 1
    written = (settings.metrics / "method.jsonl").read_text()
    assert all(f'"{name}"' in written for name in everything)
    assert _run(settings) == everything
    assert len(built) == 3


def test_a_part_is_measured_again_where_its_inputs_or_options_changed(settings: Settings, built: list[str]) -> None:
    _run(settings)
    settings.metrics.mkdir(exist_ok=True)
    (settings.metrics / "train.json").write_text("{}")
    _run(settings)
    assert built[3:] == ["training"]
    evaluate.evaluate_clinic(settings, StudyOptions(seeds=2))
    assert len(built) == 7


def test_a_word_that_means_no_row_is_named_with_what_there_is(settings: Settings, built: list[str]) -> None:
    with pytest.raises(TrainingError, match=r"no row, part or number .pears.; .*changes, training, peers"):
        _run(settings, "3", "pears")
    assert built == []


def test_words_are_split_at_commas_once_each() -> None:
    assert split_words("6, 7,external,,6") == ("6", "7", "external")
    assert split_words("") == ()
    assert select_parts([], ()) == []


def test_a_ratio_is_of_sums_and_its_interval_over_patients() -> None:
    e = bootstrap_ratio([1.0, 3.0, 2.0], [2.0, 4.0, 2.0], [1, 1, 2])
    assert e.value == pytest.approx(6 / 8)
    assert (e.n, e.patients) == (3, 2)
    assert e.ci_low <= e.value <= e.ci_high
    assert bootstrap_ratio([1.0], [0.0], [1]).n == 0


def test_the_page_has_the_headline_first_and_length_apart(settings: Settings) -> None:
    rows = [_row(6, "refined_tokens"), _row(6, "refined_vs_ranking"), _row(6, "refined_f1"), _row(8, "selection_swap")]
    text = page.write_page(settings, rows).read_text()
    places = [text.index(f"<td>{name}</td>") for name in ("refined_vs_ranking", "selection_swap", "refined_tokens")]
    assert places == sorted(places)
