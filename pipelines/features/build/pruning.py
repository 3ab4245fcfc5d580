"""Which rows and columns of the versions the groups read at all: what no group asks for is not laid aside for any.

A group says what it reads by its expression: by the filters it lays on ``held`` (``kind``, ``code`` and others) and by
the columns it uses, so that nobody has to say it a second time. Of a clinic's record a fifth and more is nobody's
feature: procedures that end no pregnancy, values that are no signal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.operations as ops
from ibis.common.graph import Graph, Node
from ibis.expr.types import BooleanValue, Table

Conditions = tuple[ops.Value, ...]


def narrowed(held: Table, readers: Sequence[Table]) -> Table:
    """The rows of ``held`` that one of the ``readers``, expressions over a table of that name, may read, by kind.

    Columns that none of them uses are null. It may keep more than is read, never less: all of it where a reader asks
    for all.
    """
    used = set().union(*map(_columns, readers))
    # half of all are observations, few of any other kind: whoever asks for one passes over the others
    rows = _rows(held, readers).order_by("kind")
    columns = held.schema().items()
    return rows.select(*(name if name in used else ibis.null(type_).name(name) for name, type_ in columns))


def _rows(held: Table, readers: Sequence[Table]) -> Table:
    read = list(dict.fromkeys(conditions for reader in readers for conditions in _read(reader)))
    if () in read:
        return held
    kinds = {kind for c in read if len(c) == 1 for kind in _values(c[0], "kind")}
    rest = [c for c in read if not any(_within(one, "kind", kinds) for one in c)]
    codes = {code for c in rest for one in c for code in _values(one, "code")}
    rest = [c for c in rest if not any(_within(one, "code", codes) for one in c)]
    wanted = [held.kind.isin(sorted(kinds)), held.code.isin(sorted(codes))]
    return held.filter(reduce(or_, wanted + [_of(held, conditions) for conditions in rest]))


def _read(reader: Table) -> Iterator[Conditions]:
    """For each place at which an expression reads ``held``, the conditions that hold there; none where all is read."""
    met: dict[Node, Conditions] = {}
    for node, children in _in_order(reader).items():
        if _is_held(node):
            met[node] = ()
        elif isinstance(node, ops.Filter) and node.parent in met and all(map(_of_one_row, node.predicates)):
            met[node] = (*met[node.parent], *node.predicates)
        elif not isinstance(node, ops.Field):
            yield from (met[child] for child in children if child in met)
    if reader.op() in met:
        yield met[reader.op()]


def _columns(reader: Table) -> set[str]:
    """The columns of ``held`` that an expression uses."""
    used: defaultdict[Node, set[str]] = defaultdict(set)
    used[reader.op()] = set(reader.columns)
    in_order = _in_order(reader)
    for relation in reversed([node for node in in_order if isinstance(node, ops.Relation)]):
        for value in _looked_at(relation, used[relation]):
            for field in value.find(ops.Field, filter=ops.Value):
                used[field.rel].add(field.name)
            for query in value.find(ops.Subquery, filter=ops.Value):
                used[query.rel] |= set(query.rel.schema.names)
    return set().union(*(used[node] for node in in_order if _is_held(node)))


def _looked_at(relation: ops.Relation, used: set[str]) -> Iterator[ops.Value]:
    """What a relation computes of the relations below it where these of its own columns are used."""
    if isinstance(relation, ops.Reference):
        yield from (relation.parent.fields[name] for name in used)
    elif isinstance(relation, ops.Project | ops.JoinChain | ops.Filter):
        yield from (relation.values[name] for name in used)
        yield from relation.predicates if isinstance(relation, ops.Filter) else ()
        yield from (p for link in getattr(relation, "rest", ()) for p in link.predicates)
    elif isinstance(relation, ops.Aggregate):
        yield from relation.values.values()
    else:  # to any other every column may matter
        below = (child for child in relation.__children__ if isinstance(child, ops.Relation))
        yield from (field for child in below for field in child.fields.values())


def _in_order(reader: Table) -> Graph:
    """What an expression is made of, each part after those it is made of itself."""
    in_order, _ = Graph.from_bfs(reader.op()).toposort()
    return in_order


def _is_held(node: Node) -> bool:
    return isinstance(node, ops.UnboundTable) and node.name == "held"


def _of_one_row(condition: ops.Value) -> bool:
    """Whether a condition looks at nothing but the row itself."""
    beyond = (ops.Analytic, ops.Reduction, ops.WindowFunction, ops.Impure, ops.Subquery)
    return not condition.find(beyond)


def _values(condition: ops.Value, column: str) -> set[str]:
    """The values to which a condition narrows a column; none where it does not."""
    options: tuple[ops.Value, ...] = ()
    if isinstance(condition, ops.InValues) and _is(condition.value, column):
        options = condition.options
    elif isinstance(condition, ops.Equals) and _is(condition.left, column):
        options = (condition.right,)
    literal = [option.value for option in options if isinstance(option, ops.Literal)]
    return set(literal) if len(literal) == len(options) else set()


def _is(value: ops.Value, column: str) -> bool:
    return isinstance(value, ops.Field) and value.name == column


def _within(condition: ops.Value, column: str, values: set[str]) -> bool:
    found = _values(condition, column)
    return bool(found) and found <= values


def _of(held: Table, conditions: Conditions) -> BooleanValue:
    """The conditions, said of the rows of ``held``."""
    said = (c.replace(dict.fromkeys(c.find(ops.Relation), held.op())) for c in conditions)
    return reduce(and_, (condition.to_expr() for condition in said))
