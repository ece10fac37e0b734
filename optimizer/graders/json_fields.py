"""JSON: the fields of an object in the response are those of the target.

The value may stand in a code fence or not, with text around it. The score is the share of the
fields that are right, or whether all are; the feedback names the wrong ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from optimizer.errors import SettingsError
from optimizer.graders.base import PureGrader, folded, said
from optimizer.graders.reading.json_schema import check_schema, faults
from optimizer.graders.reading.json_values import (
    canonical,
    equal,
    fields_of,
    parsed,
    shown,
    values_in,
)
from optimizer.graders.reading.numbers import as_number
from optimizer.types import Completion, Example, Score, graded

Rule = Literal["exact", "text", "number", "set", "contains", "ignore"]
_RULES: tuple[str, ...] = get_args(Rule)
_MOST_NAMED = 8
"""Maximum number of wrong fields that feedback names [ours]."""
_MISSING = object()


@dataclass(frozen=True)
class FieldRule:
    """How one field is compared.

    - exact: the same JSON value, but for white space around texts.
    - text: the same text, but for case and white space.
    - number: the same number, in digits or words, within the tolerances.
    - set: a list with the same entries in any order.
    - contains: a text that has the target's in it.
    - ignore: not at all.
    """

    rule: Rule = "exact"
    tolerance: float = 0.0
    """Largest difference of numbers."""
    relative: float = 0.0
    """Largest difference of numbers, as a share of the target's."""
    weight: float = 1.0
    """What the field counts for in the share of right fields."""

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise SettingsError(
                f"There is no rule {self.rule!r} for a field; known are: {', '.join(_RULES)}."
            )
        if min(self.tolerance, self.relative) < 0 or not 0 < self.weight < float("inf"):
            raise SettingsError(
                "The tolerances of a field must be 0 or more, and its weight more than 0."
            )

    def is_right(self, given: Any, target: Any) -> bool:
        """Return whether a value is accepted; a field that is not there is as null."""
        given, target = (None if one is _MISSING else one for one in (given, target))
        if self.rule == "set" and isinstance(given, list) and isinstance(target, list):
            return sorted(map(canonical, given)) == sorted(map(canonical, target))
        if self.rule == "number":
            one, other = _number(given), _number(target)
            if one is None or other is None:
                return equal(given, target)
            return bool(abs(one - other) <= max(self.tolerance, self.relative * abs(other)))
        if isinstance(given, str) and isinstance(target, str):
            if self.rule == "contains":
                return folded(target) in folded(given)
            if self.rule == "text":
                return folded(given) == folded(target)
        return equal(given, target)


@dataclass(frozen=True)
class JSONFields(PureGrader):
    """Compares the value in a response with that of a target."""

    score_by: Literal["fields", "whole"] = "fields"
    """`fields`: the share of the fields that are right. `whole`: 1 if all are, else 0."""
    fields: Mapping[str, str | FieldRule] = field(default_factory=dict)
    """Path of a field, such as `address.city` -> the rule by which it is compared."""
    default: str | FieldRule = "exact"
    """The rule of all other fields."""
    extra: Literal["wrong", "ignore"] = "wrong"
    """Whether a field that the target does not have counts as a wrong one."""
    schema: Mapping[str, Any] | None = None
    """A value that does not fit it scores 0, whatever its fields."""

    def __post_init__(self) -> None:
        for rule in (self.default, *self.fields.values()):
            _rule(rule)
        if self.schema is not None:
            check_schema(self.schema)

    @property
    def accepts(self) -> str:  # type: ignore[override]
        """Return which answer is right."""
        if self.score_by == "whole":
            return "a JSON value that is the target's in all of its fields, with text around or not"
        return "a JSON value with the target's fields; the score is the share of right fields"

    def fault_of(self, example: Example) -> str:
        """Return whether a target is no JSON."""
        if not example.answers and self.schema is None:
            return "has no target"
        for answer in example.answers:
            try:
                parsed(answer)
            except ValueError as problem:
                return f"has a target that is not JSON ({problem})"
        return ""

    def score(self, response: Completion, example: Example) -> Score:
        """Return the score of the value that counts: the last one of the kind of the target."""
        targets = [_target(answer) for answer in example.answers]
        values = values_in(said(response))
        if not values:
            if response.truncated:
                return Score("truncated")
            return Score("unparsable", feedback="The response holds no JSON object or list.")
        kinds = {type(target) for target in targets}
        value = next((one for one in values if type(one) in kinds), values[0])
        answer = canonical(value)[:2_000]
        if self.schema is not None and (wrong := faults(self.schema, value)):
            return graded(0.0, answer, f"It does not fit the JSON schema: {'; '.join(wrong)}.")
        if not targets:
            return Score("right", answer)
        best = max((self._compared(value, target) for target in targets), key=lambda one: one[0])
        return graded(best[0], answer, best[1])

    def _compared(self, value: Any, target: Any) -> tuple[float, str]:
        """Return the score of a value against a target, and the feedback."""
        whole = frozenset(self.fields)
        given, wanted = fields_of(value, whole), fields_of(target, whole)
        if type(value) is not type(target):
            given = {"": value}
        paths = dict.fromkeys([*wanted, *(given if self.extra == "wrong" else ())])
        right = total = 0.0
        wrong = []
        for path in paths:
            rule = _rule(self.fields.get(path, self.default))
            if rule.rule == "ignore":
                continue
            one, other = given.get(path, _MISSING), wanted.get(path, _MISSING)
            total += rule.weight
            if rule.is_right(one, other):
                right += rule.weight
            else:
                wrong.append(_sentence(path, one, other))
        more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        feedback = f"Wrong fields: {'; '.join(wrong[:_MOST_NAMED])}{more}." if wrong else ""
        share = 1.0 if not wrong else right / total
        return (share if self.score_by == "fields" else float(not wrong)), feedback


def _rule(given: str | FieldRule | Mapping[str, Any]) -> FieldRule:
    if isinstance(given, FieldRule):
        return given
    try:
        return FieldRule(**given) if isinstance(given, Mapping) else FieldRule(given)  # type: ignore[arg-type]
    except TypeError as problem:
        raise SettingsError(f"A field's rule cannot be used: {problem}.") from None


def _target(answer: str) -> Any:
    try:
        return parsed(answer)
    except ValueError:  # a text as it stands; `fault_of` has refused it where data is loaded
        return answer


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return as_number(repr(value))
    return as_number(value) if isinstance(value, str) else None


def _sentence(path: str, given: Any, target: Any) -> str:
    named = path or "the value"
    if given is _MISSING:
        return f"{named} is missing, should be {shown(target)}"
    if target is _MISSING:
        return f"{named} is {shown(given)}, and should not be there"
    return f"{named} is {shown(given)}, should be {shown(target)}"
