"""Explanations: kept whole for their time, private, and without a word of a question or a language model."""

from __future__ import annotations

import sqlite3
import stat
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bentos.http.examples import ANSWERED
from bentos.personalizer.explanations import Explanations, StoredResponse, explain
from pmlm.api_types import AnswerResponse
from pmlm.settings import Settings


def response(**others: Any) -> AnswerResponse:
    return AnswerResponse.model_validate(deepcopy(ANSWERED) | others)


def stored_response(**others: Any) -> StoredResponse:
    return StoredResponse.model_validate(response(**others).model_dump())


def store(tmp_path: Path, days: int = 30) -> Explanations:
    return Explanations(Settings(home=tmp_path, drops=tmp_path / "clinic", explanation_days=days))


def test_an_explanation_is_found_by_its_id_with_whose_it_is(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.add(7, "answer", response(id="a"))
    assert kept.find("a") == (7, explain("answer", stored_response(id="a")))
    assert kept.find("b") is None
    assert store(tmp_path).find("a") is not None  # another process, or the next start


def test_files_are_their_owners_alone_and_hold_no_word_of_the_language_model(tmp_path: Path) -> None:
    store(tmp_path).add(7, "answer", response(answer="A secret word: xylograph."))
    files = [f for f in (tmp_path / "clinic").iterdir() if f.name.startswith("explanations")]
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"xylograph" not in file.read_bytes()


def test_what_is_older_than_the_retention_is_neither_told_nor_kept(tmp_path: Path) -> None:
    store(tmp_path).add(7, "answer", response(id="old"))
    database = tmp_path / "clinic" / "explanations.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE explanations SET kept_at = kept_at - 31 * 86400")
    connection.close()
    kept = store(tmp_path)
    assert kept.find("old") is None
    kept.add(7, "answer", response(id="new"))
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT id FROM explanations").fetchall() == [("new",)]
    connection.close()


def test_without_retention_nothing_is_told(tmp_path: Path) -> None:
    kept = store(tmp_path, days=0)
    kept.add(7, "answer", response(id="a"))
    assert kept.find("a") is None


def test_many_threads_keep_and_find_at_once(tmp_path: Path) -> None:
    kept = store(tmp_path)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                id_ = f"{number}-{turn}"
                kept.add(number, "answer", response(id=id_))
                assert kept.find(id_) is not None
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize(
    ("positions", "dropped", "moved"),
    [
        ({"a": 0, "b": 1, "c": 2}, [], []),
        ({"a": 0, "c": 1}, ["b"], []),
        ({"a": 1, "c": 0}, ["b"], [("a", 0, 1), ("c", 1, 0)]),
        ({"a": 2, "b": 0, "c": 1}, [], [("a", 0, 2), ("b", 1, 0), ("c", 2, 1)]),
        ({}, ["a", "b", "c"], []),
    ],
)
def test_what_was_dropped_and_moved_is_counted_among_the_kept_ones(
    positions: dict[str, int], dropped: list[str], moved: list[tuple[str, int, int]]
) -> None:
    pinned = deepcopy(ANSWERED["segments"][0])
    free = [
        deepcopy(ANSWERED["segments"][1]) | {"key": k, "kept": k in positions, "position": positions.get(k)}
        for k in "abc"
    ]
    explained = explain("answer", stored_response(segments=[pinned, *free]))
    assert explained.dropped == dropped
    assert [(m.key, m.initial, m.refined) for m in explained.moved] == moved
