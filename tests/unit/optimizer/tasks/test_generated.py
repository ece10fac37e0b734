"""The generated tasks: what they make can be read back, is solved rightly, and its steps lean on
one another as documented.
"""

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.prompt import has_form
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.generated.navigate import NAVIGATE, Move, Navigation
from optimizer.tasks.generated.object_counting import OBJECT_COUNTING, Inventory
from tests.contracts.examples import examples

BBH = Path(__file__).parents[5] / "shared" / "data" / "bbh"


@pytest.mark.parametrize("name", GENERATED)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(60), deadline=None)
def test_a_question_reads_back_as_its_item(name: str, seed: int) -> None:
    item = GENERATED[name].generate(Random(seed))
    assert GENERATED[name].read(item.question()) == item


@pytest.mark.parametrize("name", GENERATED)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(60), deadline=None)
def test_all_steps_together_lead_to_the_answer(name: str, seed: int) -> None:
    task = GENERATED[name]
    item = task.generate(Random(seed))
    assert item.conclude(task.kinds) == item.answer
    assert item.conclude([]) is None
    assert list(item.work(task.kinds)) == list(task.kinds)


@pytest.mark.parametrize("name", GENERATED)
def test_other_tasks_texts_are_not_read(name: str) -> None:
    for other in GENERATED.values():
        if other.name != name:
            assert GENERATED[name].read(other.generate(Random(1)).question()) is None
    assert GENERATED[name].read("Which of these is sarcastic?") is None


@pytest.mark.parametrize("name", ["navigate", "object_counting", "web_of_lies"])
def test_every_big_bench_item_of_the_family_is_solved(name: str) -> None:
    file = BBH / f"{name}.json"
    if not file.exists():
        pytest.skip("the BIG-Bench Hard files are not beside the project")
    for example in json.loads(file.read_text())["examples"]:
        item = GENERATED[name].read(example["input"])
        assert item is not None
        assert item.answer == example["target"]


def test_positions_without_the_direction_take_every_step_as_forward() -> None:
    item = Navigation((Move(3), Move(turn="around"), Move(3)), forward=False)
    assert item.answer == "Yes"
    assert item.work(["positions"])["positions"] == "3 (0,3); turn around (0,3); 3 (0,6)"
    assert item.conclude(["positions"]) == "No"
    assert item.conclude(["facing", "positions"]) == "Yes"
    assert has_form(item.work(NAVIGATE.kinds)["positions"], "points")


def test_a_total_without_the_kind_counts_strangers_too() -> None:
    item = Inventory((("apple", 1), ("violins", 2), ("plums", 3)), "fruits")
    assert item.answer == "4"
    assert item.conclude(["running_total"]) == "6"
    assert item.work(OBJECT_COUNTING.kinds)["running_total"] == "apple 1; violins 1; plums 4"


def test_answers_are_not_lopsided() -> None:
    rng = Random(0)
    yes = sum(NAVIGATE.generate(rng).answer == "Yes" for _ in range(2000)) / 2000
    assert 0.35 < yes < 0.65
