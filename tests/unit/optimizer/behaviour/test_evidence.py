"""Training answers as evidence: asked for once, nothing of what a prompt demonstrates, and no more
trust than there are items.
"""

from optimizer.behaviour.evidence import Evidence
from optimizer.candidate import Candidate, Standing
from optimizer.prompt import Demonstration, Prompt
from optimizer.scripted import ScriptedModel
from optimizer.types import Failed, Outcome, Request
from tests.contracts import toy

ITEMS = toy.examples(8, "train")
ONE, TWO = (Candidate(Prompt(name), "seed", 0) for name in ("one", "two"))


def odd_ones(request: Request) -> str | Outcome:
    """Prompt "one" is right on all but item 3, prompt "two" on none; nobody answers item 5."""
    if request.messages[-1].content.startswith("How much is 5 "):
        return Failed("infrastructure", "gone")
    wrong = request.messages[0].content == "two" or request.messages[-1].content.startswith(
        "How much is 3 "
    )
    return "Answer: unknown" if wrong else toy.flawless(request)


def evidence() -> tuple[Evidence, ScriptedModel]:
    model = ScriptedModel(odd_ones)
    return Evidence(toy.InMemoryEvaluator(model)), model


def standing(
    candidate: Candidate, accuracy: float | None, items: int, adherence: float | None = None
) -> Standing:
    return Standing(candidate, accuracy, items, adherence, True)


async def test_errors_are_found_in_one_call_and_asked_for_once() -> None:
    known, model = evidence()
    first = await known.errors([ONE, TWO], ITEMS[:4])
    assert [[error.example.id for error in wrong] for wrong in first] == [
        ["train-3"],
        [f"train-{at}" for at in range(4)],
    ]
    again = await known.errors([ONE], ITEMS[2:])
    assert [[error.example.id for error in wrong] for wrong in again] == [["train-3"]]
    assert [len(batch) for batch in model.batches] == [8, 4]


async def test_what_infrastructure_failed_to_answer_is_no_error() -> None:
    known, _ = evidence()
    assert [len(wrong) for wrong in await known.errors([ONE], ITEMS[5:6])] == [0]


async def test_an_example_that_a_prompt_demonstrates_is_not_asked() -> None:
    known, model = evidence()
    taught = Candidate(
        Prompt("one", demonstrations=(Demonstration(ITEMS[3].input, "Answer: 6"),)), "refine", 1
    )
    assert await known.errors([taught], ITEMS[2:4]) == [[]]
    assert model.calls == 1


def test_a_lead_on_few_items_counts_less_than_one_on_many() -> None:
    known, _ = evidence()
    few, many = standing(ONE, 1.0, 5), standing(TWO, 0.9, 60)
    others = [standing(Candidate(Prompt(str(at)), "seed", 0), 0.5, 60) for at in range(4)]
    assert known.ranked([few, many, *others])[0] == many


async def test_training_answers_count_beside_dev_scores() -> None:
    known, _ = evidence()
    even = [standing(TWO, 0.75, 8), standing(ONE, 0.75, 8)]
    assert known.ranked(even) == even
    await known.errors([ONE, TWO], ITEMS)
    assert known.ranked(even) == even[::-1]


def test_of_equals_the_more_adherent_stands_first_then_the_earlier() -> None:
    known, _ = evidence()
    loose, strict, none = (
        standing(ONE, 0.5, 8, 0.4),
        standing(TWO, 0.5, 8, 0.9),
        standing(Candidate(Prompt(""), "seed", 0), 0.5, 8),
    )
    assert known.ranked([none, loose, strict]) == [strict, loose, none]


def test_what_was_never_measured_stands_where_it_stood() -> None:
    known, _ = evidence()
    unknown = [standing(ONE, None, 0), standing(TWO, None, 0)]
    assert known.ranked(unknown) == unknown


async def test_a_new_prompt_passes_its_parent_only_by_its_dev_accuracy() -> None:
    """It has no training errors yet, because it was not asked: that is no merit."""
    known, _ = evidence()
    await known.errors([TWO], ITEMS)
    parent = standing(TWO, 0.75, 8)
    equal, better = (
        standing(Candidate(Prompt(f"child {accuracy}"), "refine", 1, TWO.id), accuracy, 8)
        for accuracy in (0.75, 0.875)
    )
    assert known.ranked([parent, equal, better]) == [better, parent, equal]
