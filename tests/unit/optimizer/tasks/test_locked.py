"""The lock on the test split: counted and carried about, read once, and silent until then."""

import copy
import gc
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.tasks.locked import LockedSplit, ReadTwice
from optimizer.types import Example

TEXT = "a question that is asked once"
EXAMPLES = tuple(
    Example(f"t/{number}", f"{TEXT}, {number}", ("yes", "Yes"), ("yes", "no"))
    for number in range(3)
)


@given(
    st.lists(
        st.builds(
            Example,
            st.text(),
            st.text(),
            st.lists(st.text(), min_size=1).map(tuple),
            st.lists(st.text()).map(tuple),
        ),
        max_size=5,
    )
)
def test_what_was_locked_is_what_is_read(examples: list[Example]) -> None:
    assert LockedSplit.lock(examples).single_reading().read() == tuple(examples)


def test_a_reading_reads_once() -> None:
    reading = LockedSplit.lock(EXAMPLES).single_reading()
    assert reading.items == 3
    assert reading.read() == EXAMPLES
    with pytest.raises(ReadTwice, match="second time"):
        reading.read()


def test_a_reading_cannot_be_copied() -> None:
    reading = LockedSplit.lock(EXAMPLES).single_reading()
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="second reading"):
            make(reading)


def test_a_locked_split_tells_its_size_and_nothing_else() -> None:
    split = LockedSplit.lock(EXAMPLES)
    assert len(split) == 3
    assert repr(split) == "LockedSplit(items=3)"
    assert TEXT.encode() not in pickle.dumps(split)
    assert pickle.loads(pickle.dumps(split)) == split
    for forbidden in (iter, list):
        with pytest.raises(TypeError):
            forbidden(split)
    assert split == LockedSplit.lock(EXAMPLES) != LockedSplit.lock(EXAMPLES[:2])


@pytest.mark.slow
def test_no_object_of_the_process_holds_a_locked_example() -> None:
    split = LockedSplit.lock([Example("only/here", "never in memory", ("no",))])
    gc.collect()
    assert not [
        found
        for found in gc.get_objects()
        if isinstance(found, Example) and found.id == "only/here"
    ]
    assert split.single_reading().read()[0].input == "never in memory"
