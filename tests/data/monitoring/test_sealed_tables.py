"""A sealed drift table has every value of every column and no row."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.monitoring.families.drift_table import seal_table

rows = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.one_of(st.none(), st.sampled_from("abc")), st.booleans()),
    max_size=20,
)


def _frame(values: list[tuple[int | None, str | None, bool]]) -> pl.DataFrame:
    schema = {"number": pl.Int64, "word": pl.String, "flag": pl.Boolean}
    return pl.DataFrame(values, schema=schema, orient="row")


@given(rows)
def test_sealing_keeps_each_columns_values(values: list[tuple[int | None, str | None, bool]]) -> None:
    before, after = _frame(values), seal_table(_frame(values)).frame
    assert Counter(after["number"]) == Counter(before["number"].cast(pl.Float64))
    assert Counter(after["word"]) == Counter(before["word"])


@given(rows, st.randoms())
def test_sealing_forgets_which_values_stood_together(
    values: list[tuple[int | None, str | None, bool]], random: object
) -> None:
    columns = [list(column) for column in zip(*values, strict=True)] or [[], [], []]
    for column in columns:
        random.shuffle(column)  # type: ignore[attr-defined]
    shuffled = seal_table(_frame(list(zip(*columns, strict=True))))
    assert shuffled.frame.equals(seal_table(_frame(values)).frame)


@given(rows)
def test_sealed_columns_are_numbers_or_words(values: list[tuple[int | None, str | None, bool]]) -> None:
    assert set(seal_table(_frame(values)).frame.dtypes) <= {pl.Float64, pl.String}


def test_of_patients_only_their_number_is_left_and_who_has_most_rows_counts_less() -> None:
    frame = _frame([(1, "a", True)] * 6)
    even, uneven = (frame.with_columns(pl.Series("subject_id", s)) for s in ([1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 2, 3]))
    assert "subject_id" not in seal_table(even).frame.columns
    assert (seal_table(even).count_patients("number"), seal_table(uneven).count_patients("number")) == (3, 2)


def test_where_rows_are_nobodys_every_value_counts() -> None:
    assert seal_table(_frame([(1, "a", True), (1, None, True)])).count_patients("word") == 1
