"""A formula of scores, such as `0.7 * style + 0.3 * facts`: arithmetic, and nothing else.

It is parsed with Python's own grammar and walked; nothing of it is ever run.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from optimizer.errors import SettingsError, shortened

MOST_CHARACTERS = 1_000
_MOST_NODES = 200
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
}
_WITH_ONE = frozenset(_FUNCTIONS) - {"min", "max"}


@dataclass(frozen=True)
class Expression:
    """A formula that was checked: numbers, names of scores, + - * /, brackets and functions."""

    text: str
    tree: Any

    @classmethod
    def read(cls, text: str, names: tuple[str, ...]) -> "Expression":
        """Return the formula of a text in these names.

        Raises:
            SettingsError: It is no formula, or has another name in it.
        """
        return _read(text, names)

    def value(self, values: Mapping[str, float]) -> float:
        """Return the value of the formula, from 0 to 1; 0 where it has none, as a division by 0."""
        try:
            found = float(_value(self.tree, values))
        except (ArithmeticError, ValueError):
            return 0.0
        return 0.0 if math.isnan(found) else min(1.0, max(0.0, found))


@lru_cache(maxsize=256)
def _read(text: str, names: tuple[str, ...]) -> Expression:
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"The formula is longer than {MOST_CHARACTERS} characters.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SettingsError(f"The formula {shortened(text)!r} cannot be read.") from None
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise SettingsError("The formula has too many parts; write a shorter one.")
    _check(tree, text, names)
    return Expression(text, tree)


def _check(node: ast.expr, text: str, names: tuple[str, ...]) -> None:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()):
            return
        case ast.Name(id=name):
            if name in names:
                return
            raise SettingsError(
                f"The formula {shortened(text)!r} has the name {name!r}; known are: "
                f"{', '.join(names)}."
            )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, text, names)
            return _check(right, text, names)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _check(operand, text, names)
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS and (
            len(given) == 1 if name in _WITH_ONE else len(given) > 1
        ):
            for one in given:
                _check(one, text, names)
            return
    raise SettingsError(
        f"The formula {shortened(text)!r} may have numbers, names, + - * / and brackets in it, and "
        f"the functions {', '.join(sorted(_FUNCTIONS))}."
    )


def _value(node: Any, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, values))
        case ast.Call(func=ast.Name(id=name), args=given):
            return _FUNCTIONS[name](*(_value(one, values) for one in given))
    raise ValueError(f"{type(node).__name__} was not checked")
