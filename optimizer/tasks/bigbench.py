"""Rows of BIG-bench files (Srivastava et al. 2022, arXiv 2206.04615), read as any others."""

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.tasks.columns import text_of

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def listed(row: Any, prefix: str, appends: bool) -> tuple[Any, tuple[str, ...]]:
    """Return a BIG-bench row as any other, and its choices.

    There is a prefix for all inputs, and scores by choice in place of a target.
    """
    if not isinstance(row, Mapping):
        return row, ()
    text = row.get("input")
    if prefix and (plain_text := text_of(text)):
        text = f"{prefix}{'' if prefix[-1].isspace() else ' '}{plain_text}"
    scores = row.get("target_scores")
    if not isinstance(scores, Mapping):
        return ({**row, "input": text} if "input" in row else row), ()
    choices = tuple(scores)
    if appends and text_of(text):
        text = text_of(text) + _appended(choices)
    return {**row, "input": text, "target": list(_best(scores))}, choices


def _best(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the choices with the best score; none where that is not above 0."""
    numbers = {choice: score for choice, score in scores.items() if isinstance(score, int | float)}
    best = max(numbers.values(), default=0)
    return tuple(
        choice for choice, score in numbers.items() if score == best and best > 0 and choice.strip()
    )


def _appended(choices: Sequence[str]) -> str:
    """Return the choices as BIG-bench appends them to an input, in the form of BIG-Bench Hard.

    They have letters if the letters suffice.
    """
    if len(choices) > len(_LETTERS):
        return "\nOptions:\n" + "\n".join(f"- {choice}" for choice in choices)
    return "\nOptions:\n" + "\n".join(
        f"({letter}) {choice}" for letter, choice in zip(_LETTERS, choices, strict=False)
    )
