"""Where a response first goes wrong is known from the item's procedure, whatever else stands in the
response.
"""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from optimizer.tasks.generated import GENERATED, GeneratedTask, Item
from optimizer.tasks.generated.faults import first_fault, is_needed, shown_kinds

TASKS = st.sampled_from(list(GENERATED.values()))
SEEDS = st.integers(0, 10_000)


def worked(item: Item, kinds: list[str]) -> str:
    lines = [f"Step {number}: {block}" for number, block in enumerate(item.work(kinds).values(), 1)]
    return "\n".join([*lines, f"Answer: {item.answer}"])


@given(TASKS, SEEDS)
def test_who_does_all_makes_no_fault(task: GeneratedTask, seed: int) -> None:
    item = task.generate(Random(seed))
    assert shown_kinds(item, task.kinds, worked(item, list(task.kinds))) == set(task.kinds)
    assert first_fault(item, task.kinds, worked(item, list(task.kinds))) is None


@given(TASKS, SEEDS)
def test_the_first_step_that_the_answer_rests_on_is_the_fault_of_who_shows_nothing(
    task: GeneratedTask, seed: int
) -> None:
    item = task.generate(Random(seed))
    needed = [kind for kind in task.kinds if is_needed(item, task.kinds, kind)]
    assert needed
    assert first_fault(item, task.kinds, "Answer: whatever") == needed[0]


@given(TASKS, SEEDS, st.data())
def test_a_needed_step_that_is_left_out_is_the_fault_or_comes_behind_one_that_it_spoilt(
    task: GeneratedTask, seed: int, data: st.DataObject
) -> None:
    item = task.generate(Random(seed))
    needed = [kind for kind in task.kinds if is_needed(item, task.kinds, kind)]
    left_out = data.draw(st.sampled_from(needed))
    fault = first_fault(
        item, task.kinds, worked(item, [kind for kind in task.kinds if kind != left_out])
    )
    assert fault in needed
    assert task.kinds.index(fault) <= task.kinds.index(left_out)


def test_a_turn_that_is_not_kept_is_found_in_labelled_and_in_free_words() -> None:
    task = GENERATED["navigate"]
    item = task.read(
        "If you follow these instructions, do you return? Take 3 steps. Turn around. Take 3 steps."
    )
    assert item is not None
    labelled = "Step 1: 3; turn around; 3\nStep 2: 3 (0,3); turn around (0,3); 3 (0,6)\nAnswer: No"
    assert first_fault(item, task.kinds, labelled) == "facing"
    free = (
        "I go 3 steps north to (0, 3), turn around to face south, and walk 3 steps south. I am at "
        "(0,3), then at (0, 0)."
    )
    assert "positions" in shown_kinds(item, task.kinds, f"First (0,3). {free}")
    assert first_fault(item, task.kinds, "I end at (0,6). No.") == "facing"
