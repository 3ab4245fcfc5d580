"""Load only the columns and rows of the record versions that some feature group reads.

A group's expression says what it reads: by its filters on the versions (``kind``, ``code`` and others) and by the
columns it uses. A fifth and more of a clinic's record is nobody's feature: procedures that end no pregnancy, values
that are no signal.
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

from pipelines.features.engines.query import VERSIONS

Conditions = tuple[ops.Value, ...]


def prune_versions(versions: Table, expressions: Sequence[Table]) -> Table:
    """Select the rows that some expression may read, by kind; null unused columns.

    It may select more than is read, never less: all rows where an expression reads all.
    """
    used = set().union(*map(_find_columns, expressions))
    # half of all are observations, few of any other kind: sorted, a filter on another kind skips them
    rows = _prune_rows(versions, expressions).order_by("kind")
    columns = versions.schema().items()
    return rows.select(*(name if name in used else ibis.null(type_).name(name) for name, type_ in columns))


def _prune_rows(versions: Table, expressions: Sequence[Table]) -> Table:
    read = list(dict.fromkeys(conditions for e in expressions for conditions in _find_conditions(e)))
    if () in read:
        return versions
    kinds = {kind for c in read if len(c) == 1 for kind in _list_values(c[0], "kind")}
    rest = [c for c in read if not any(_is_within(one, "kind", kinds) for one in c)]
    codes = {code for c in rest for one in c for code in _list_values(one, "code")}
    rest = [c for c in rest if not any(_is_within(one, "code", codes) for one in c)]
    wanted = [versions.kind.isin(sorted(kinds)), versions.code.isin(sorted(codes))]
    return versions.filter(reduce(or_, wanted + [_apply_conditions(versions, conditions) for conditions in rest]))


def _find_conditions(expression: Table) -> Iterator[Conditions]:
    """Yield, for each place that reads the versions, the conditions there; () where all are read."""
    conditions: dict[Node, Conditions] = {}
    for node, children in _sort_nodes(expression).items():
        if _is_versions(node):
            conditions[node] = ()
        elif (
            isinstance(node, ops.Filter) and node.parent in conditions and all(map(_is_row_condition, node.predicates))
        ):
            conditions[node] = (*conditions[node.parent], *node.predicates)
        elif not isinstance(node, ops.Field):
            yield from (conditions[child] for child in children if child in conditions)
    if expression.op() in conditions:
        yield conditions[expression.op()]


def _find_columns(expression: Table) -> set[str]:
    """Find the columns of the versions that an expression uses."""
    used: defaultdict[Node, set[str]] = defaultdict(set)
    used[expression.op()] = set(expression.columns)
    nodes = _sort_nodes(expression)
    for relation in reversed([node for node in nodes if isinstance(node, ops.Relation)]):
        for value in _list_inputs(relation, used[relation]):
            for field in value.find(ops.Field, filter=ops.Value):
                used[field.rel].add(field.name)
            for query in value.find(ops.Subquery, filter=ops.Value):
                used[query.rel] |= set(query.rel.schema.names)
    return set().union(*(used[node] for node in nodes if _is_versions(node)))


def _list_inputs(relation: ops.Relation, used: set[str]) -> Iterator[ops.Value]:
    """Yield what a relation computes from those below it for its ``used`` columns."""
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


def _sort_nodes(expression: Table) -> Graph:
    """Sort an expression's nodes so that each comes after those it is made of."""
    nodes, _ = Graph.from_bfs(expression.op()).toposort()
    return nodes


def _is_versions(node: Node) -> bool:
    return isinstance(node, ops.UnboundTable) and node.name == VERSIONS


def _is_row_condition(condition: ops.Value) -> bool:
    """Whether a condition depends on the row alone."""
    beyond = (ops.Analytic, ops.Reduction, ops.WindowFunction, ops.Impure, ops.Subquery)
    return not condition.find(beyond)


def _list_values(condition: ops.Value, column: str) -> set[str]:
    """List the values to which a condition restricts a column; none if it does not."""
    options: tuple[ops.Value, ...] = ()
    if isinstance(condition, ops.InValues) and _is_column(condition.value, column):
        options = condition.options
    elif isinstance(condition, ops.Equals) and _is_column(condition.left, column):
        options = (condition.right,)
    literal = [option.value for option in options if isinstance(option, ops.Literal)]
    return set(literal) if len(literal) == len(options) else set()


def _is_column(value: ops.Value, column: str) -> bool:
    return isinstance(value, ops.Field) and value.name == column


def _is_within(condition: ops.Value, column: str, values: set[str]) -> bool:
    found = _list_values(condition, column)
    return bool(found) and found <= values


def _apply_conditions(versions: Table, conditions: Conditions) -> BooleanValue:
    """Join the conditions by *and*, over the rows of ``versions``."""
    moved = (c.replace(dict.fromkeys(c.find(ops.Relation), versions.op())) for c in conditions)
    return reduce(and_, (condition.to_expr() for condition in moved))
