"""Distinct examples, and splits that share none."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DataError
from optimizer.tasks.splitting import distinct, split
from optimizer.tasks.task import Sizes
from optimizer.types import Example


def examples(inputs: list[str]) -> list[Example]:
    return [Example(str(number), text, ("x",)) for number, text in enumerate(inputs)]


@given(st.lists(st.text("ab \n", min_size=1), min_size=3, max_size=60), st.integers(0, 99))
def test_no_input_is_in_two_splits(inputs: list[str], seed: int) -> None:
    unique = distinct(examples(inputs))
    assert len({" ".join(example.input.split()) for example in unique}) == len(unique)
    third = len(unique) // 3
    if third:
        train, dev, test = split("t", unique, Sizes(third, third, third), Random(seed))
        assert len({*train, *dev, *test}) == 3 * third


def test_the_first_of_equal_inputs_stays() -> None:
    assert [example.id for example in distinct(examples(["a b", "c", "A  b", "c\n"]))] == ["0", "1"]


def test_exactly_enough_is_enough() -> None:
    train, dev, test = split("t", examples(list("abcdef")), Sizes(1, 2, 3), Random(0))
    assert sorted(example.input for example in (*train, *dev, *test)) == list("abcdef")
    with pytest.raises(DataError, match="has 5 distinct examples"):
        split("t", examples(list("abcde")), Sizes(1, 2, 3), Random(0))
