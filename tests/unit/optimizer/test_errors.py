"""Every error of the tree crosses process borders and keeps its sentence."""

import inspect
import pickle

import pytest

from optimizer import errors
from optimizer.errors import PromptrayError, UserError, unknown_name

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, PromptrayError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_survive_pickling(kind: type[PromptrayError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("What is wrong; how to mend it.")))
    assert type(copy) is kind
    assert str(copy) == "What is wrong; how to mend it."


def test_every_error_is_drawn_in_the_tree() -> None:
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in CLASSES)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    problem = unknown_name("strategy", "ab", ["apo", "abo"])
    assert isinstance(problem, UserError)
    assert str(problem) == "There is no strategy called 'ab'; known are: abo, apo."
