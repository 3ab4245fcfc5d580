"""Search peers step by step, as Spark calls it: Arrow tables in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from models.patient.currency import CurrencyRule
from models.peers import birth_stripes, cohort_partitions
from models.peers.aggregates import OUTCOMES, RATINGS, aggregate_outcomes
from models.peers.birth_stripes import Candidates, StripeQuestions
from models.peers.patient_embedding import TIME_FIELDS, States
from models.peers.search import COLUMNS
from pipelines.features.engines import peer_rows

COHORT, STRIPE = "cohort", "stripe"
OUTCOME_NAMES = tuple(o.name for o in (*OUTCOMES, *RATINGS))
COHORT_NAMES = tuple(f"cohort_{o.name}" for o in OUTCOMES)

_KEY = [pa.field("subject_id", pa.int64()), pa.field("at", pa.int64())]
_EMBEDDING = pa.field("embedding", pa.list_(pa.float32()))


def _numbers(names: Sequence[str]) -> list[pa.Field]:
    return [pa.field(name, pa.float64()) for name in names]


STATES = pa.schema([*_KEY, *_numbers((*TIME_FIELDS, *OUTCOME_NAMES)), _EMBEDDING])
#: Asked moments: the patient's cohort and embedding then.
ASKED = pa.schema([*_KEY, pa.field(COHORT, pa.int32()), _EMBEDDING])
#: Their age bands, as births and as the stripes that they meet (null: nobody), and the means of their cohorts.
BANDS = pa.schema(
    [
        *_KEY,
        *_numbers(("first", "last")),
        pa.field("first_stripe", pa.int32()),
        pa.field("last_stripe", pa.int32()),
        pa.field("indexed", pa.bool_()),
        *_numbers(COHORT_NAMES),
    ]
)
CANDIDATES = pa.schema([*_KEY, pa.field("distance", pa.float64()), pa.field("donor", pa.int64()),
                        *_numbers(OUTCOME_NAMES)])  # fmt: skip


def build_states(rule: CurrencyRule, rows: pa.Table) -> pa.Table:
    """Build states from rows of features."""
    states = peer_rows.build_states(pl.DataFrame(rows).lazy(), rule)
    columns: dict[str, Any] = {name: getattr(states, name) for name in TIME_FIELDS} | {"at": states.at}
    columns |= {"subject_id": states.subject, **states.outcomes}
    return _to_table(STATES, columns | {"embedding": states.embedding.astype(np.float32)})


def place_questions(states: pa.Table, asked: pa.Table) -> pa.Table:
    """Add to each asked moment the patient's cohort and embedding then."""
    moments = pl.DataFrame(asked).sort("at", "subject_id")
    known, subjects, at = read_states(states), moments["subject_id"].to_list(), moments["at"].to_numpy()
    columns = {"subject_id": moments["subject_id"].to_numpy(), "at": at}
    columns[COHORT] = cohort_partitions.find_cohorts(known, subjects, at)
    return _to_table(ASKED, columns | {"embedding": birth_stripes.embed_questions(known, subjects, at)})


def copy_to_cohorts(moments: Sequence[int], states: pa.Table) -> pa.Table:
    """Copy each patient's states, without embeddings, to every cohort of theirs at the moments."""
    members = cohort_partitions.list_members(read_states(states), np.array(moments))
    return _copy(states, {(cohort,): who for cohort, who in members.items()}, (COHORT,))


def copy_to_stripes(moments: Sequence[int], states: pa.Table) -> pa.Table:
    """Copy each patient's states to every stripe of a cohort that they are in at the moments."""
    members = cohort_partitions.list_stripes(read_states(states), np.array(moments))
    return _copy(states, members, (COHORT, STRIPE))


def find_bands(k: int, states: pa.Table, asked: pa.Table) -> pa.Table:
    """Find the age bands of one cohort's questions, and the means of its members."""
    moments = pl.DataFrame(asked).sort("at", "subject_id")
    at = moments["at"].to_numpy()
    found = birth_stripes.find_bands(read_states(states), moments["subject_id"].to_list(), at, k)
    columns: dict[str, Any] = {"subject_id": moments["subject_id"].to_numpy(), "at": at}
    columns |= {"first": found.first, "last": found.last, "indexed": found.indexed}
    for name in ("first", "last"):
        columns[f"{name}_stripe"] = columns[name] // birth_stripes.STRIPE
    return _to_table(BANDS, columns | dict(zip(COHORT_NAMES, found.cohort.T, strict=True)))


def search_stripe(k: int, states: pa.Table, asked: pa.Table) -> pa.Table:
    """Search one stripe of a cohort for candidates of the questions that visit it."""
    if not states.num_rows or not asked.num_rows:
        return CANDIDATES.empty_table()
    place = (asked[COHORT][0].as_py(), asked[STRIPE][0].as_py())
    table = asked.sort_by([("at", "ascending"), ("subject_id", "ascending")])
    numbers = {name: table[name].to_numpy() for name in ("subject_id", "at", "first", "last", "indexed")}
    questions = StripeQuestions(
        numbers["subject_id"], numbers["at"], _read_embedding(table), numbers["first"], numbers["last"],
        numbers["indexed"],
    )  # fmt: skip
    known = read_states(states)
    found = birth_stripes.search_stripe(known, *place, questions, 2 * k)
    columns: dict[str, Any] = {"distance": found.distance, "donor": found.donor}
    columns |= {"subject_id": questions.subject[found.question], "at": questions.at[found.question]}
    return _to_table(CANDIDATES, columns | {name: known.outcomes[name][found.state] for name in OUTCOME_NAMES})


def merge(k: int, asked: pa.Table, candidates: pa.Table) -> pa.Table:
    """Average the nearest candidates of each question into a row of peers."""
    table = asked.sort_by([("subject_id", "ascending"), ("at", "ascending")])
    number = pl.DataFrame(table.select(["subject_id", "at"])).with_row_index("question")
    found = pl.DataFrame(candidates).join(number, on=["subject_id", "at"])
    places = Candidates(
        found["question"].cast(pl.Int64).to_numpy(), found["distance"].to_numpy(), found["donor"].to_numpy(),
        np.empty(0, np.int64),
    )  # fmt: skip
    peers = birth_stripes.merge_candidates(places, table.num_rows, 2 * k).astype(np.int32)
    columns = aggregate_outcomes({name: found[name].to_numpy() for name in OUTCOME_NAMES}, peers, k)
    columns |= {name: table[name].to_numpy(zero_copy_only=False) for name in COHORT_NAMES}
    moments = pa.array(1_000_000 * table["at"].to_numpy()).cast(pa.timestamp("us", tz="UTC"))
    made = [peer_rows.to_arrow(columns[name]) for name in COLUMNS if name != "embedding"]
    key = [table["subject_id"].combine_chunks(), moments]
    return pa.Table.from_arrays(
        [*key, *made, table["embedding"].combine_chunks().cast(_EMBEDDING.type)], schema=peer_rows.SCHEMA
    )


def read_states(table: pa.Table) -> States:
    """Read states, in order of patient and time; without embeddings where there is no such column."""
    ordered = table.sort_by([("subject_id", "ascending"), ("at", "ascending")])
    numbers = {name: ordered[name].to_numpy() for name in ("subject_id", "at", *TIME_FIELDS, *OUTCOME_NAMES)}
    embedding = np.empty((table.num_rows, 0))
    if "embedding" in table.column_names and table.num_rows:
        embedding = _read_embedding(ordered).astype(np.float64)
    outcomes = {name: numbers[name] for name in OUTCOME_NAMES}
    times = {name: numbers[name] for name in TIME_FIELDS}
    return States(numbers["subject_id"], numbers["at"], embedding, **times, outcomes=outcomes)


def _read_embedding(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
    flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(table.num_rows, -1)


def _copy(states: pa.Table, members: Mapping[Any, Any], names: tuple[str, ...]) -> pa.Table:
    """Copy the states of the members of each block, with the block's name in columns of its own."""
    schema = pa.schema([*states.schema, *(pa.field(name, pa.int32()) for name in names)])
    subject, copies = states["subject_id"].to_numpy(), [schema.empty_table()]
    for block, who in members.items():
        rows = states.filter(pa.array(np.isin(subject, who)))
        for name, value in zip(names, block, strict=True):
            rows = rows.append_column(pa.field(name, pa.int32()), pa.array([value] * rows.num_rows, pa.int32()))
        copies.append(rows.cast(schema))
    return pa.concat_tables(copies)


def _to_table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """Make a table of arrays; a row of numbers with NaN in it, or a whole number that is NaN, is null."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_list(field.type):
            arrays.append(peer_rows.to_arrow(values).cast(field.type))
        else:
            whole = pa.types.is_integer(field.type)
            arrays.append(pa.array(values, from_pandas=whole).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
