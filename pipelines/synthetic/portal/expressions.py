"""Parse and evaluate conditions of rules: ``haemoglobin < 11 and pregnant and not takes_iron``.

Python's parser reads them, nothing is executed. The grammar is ``and``, ``or``, ``not``, comparisons, ``+`` and ``-``
over named facts, numbers and texts. An unknown fact, and a comparison with one, is false: no rule fires on what the
record lacks.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pmlm.errors import PmlmError


class RuleError(PmlmError):
    """A rule file's condition cannot be evaluated or names an unknown fact."""


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.BinOp, ast.Add,
    ast.Sub, ast.Name, ast.Load, ast.Constant, *_COMPARE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """A parsed condition: its text and the facts it names."""

    text: str
    names: frozenset[str]
    _body: ast.expr

    def __call__(self, facts: Mapping[str, Any]) -> bool:
        """Whether the condition is true; a fact missing from ``facts`` is unknown."""
        return bool(_evaluate(self._body, facts))


def parse_condition(text: str) -> RuleCondition:
    """Parse ``text``; raises RuleError for anything outside the grammar."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise RuleError(f"cannot read the condition {text!r}: {error.msg}") from error
    strange = [type(node).__name__ for node in ast.walk(tree) if not isinstance(node, _ALLOWED)]
    if strange:
        raise RuleError(f"the condition {text!r} uses {strange[0]}, which conditions do not have")
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return RuleCondition(text, names, tree.body)


def _evaluate(node: ast.expr, facts: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return facts.get(name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand, facts)
        case ast.UnaryOp(operand=operand):
            value = _evaluate(operand, facts)
            return None if value is None else -value
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_evaluate(v, facts) for v in values)
        case ast.BoolOp(values=values):
            return any(_evaluate(v, facts) for v in values)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left, facts), _evaluate(right, facts)
            return None if a is None or b is None else (a + b if isinstance(op, ast.Add) else a - b)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            values = [_evaluate(v, facts) for v in (left, *comparators)]
            pairs = zip(values, ops, values[1:], strict=False)
            return all(a is not None and b is not None and _COMPARE[type(op)](a, b) for a, op, b in pairs)
    raise AssertionError(f"unreachable: {ast.dump(node)}")  # condition() admits no other node
