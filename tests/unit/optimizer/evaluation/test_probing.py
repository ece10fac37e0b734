"""What a check asks, with scripted models: repeats that stay apart, a ceiling that guessing does
not raise, and no test items.
"""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from optimizer.evaluation.answer_forms import reading
from optimizer.evaluation.headroom_probe import DRAW_TEMPERATURE, DRAWS, Probed, Probing, probe
from optimizer.graders.graders import grader_named
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full
from optimizer.statistics import mean_score
from optimizer.strategies.abo import ABO
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example, Failed, Request, Sampling
from tests.contracts import toy

PROBING = Probing(ABO(decompositions=1), Full(), Sampling())


@pytest.fixture
def task() -> Task:
    return load_task("navigate", sizes=Sizes(8, 40, 10), seed=0)


def answers_of(task: Task) -> dict[str, str]:
    return {example.input: example.answers[0] for example in (*task.train, *task.dev)}


async def probed(
    task: Task, target: ScriptedModel, optimizer: ScriptedModel | None = None
) -> Probed:
    return await probe(task, target, optimizer or ScriptedModel(toy.author), PROBING)


async def test_repeats_have_samples_of_their_own_and_the_first_is_the_trials_own(
    task: Task,
) -> None:
    target = ScriptedModel(lambda _: "Answer: yes")
    await probed(task, target)
    asked = [request for batch in target.batches for request in batch]
    plain = [
        one
        for one in asked
        if one.messages[0].content == task.seed_instruction and len(one.messages) == 2
    ]
    assert {one.sample for one in plain if one.sampling == Sampling()} == {0, 1, 2}
    assert {one.sample for one in plain if one.sampling.temperature == DRAW_TEMPERATURE} == set(
        range(DRAWS)
    )
    own = Request(plain[0].messages)
    assert replace(own, purpose=plain[0].purpose) in plain


async def test_a_steady_target_has_no_flips_and_guessing_is_no_knowledge(task: Task) -> None:
    found = await probed(task, ScriptedModel(lambda _: "Answer: yes"))
    assert found.repeats[0] == found.repeats[1] == found.repeats[2]
    right = mean_score(found.repeats[0])
    assert right is not None
    assert found.ever_right == right
    assert found.ceiling == pytest.approx(right, abs=0.12)


async def test_where_nothing_is_right_an_answer_stands_beside_what_is_accepted(task: Task) -> None:
    found = await probed(task, ScriptedModel(lambda _: "**Answer**: perhaps"))
    assert found.not_right is not None
    assert repr("**Answer**: perhaps") in found.not_right.sentence
    assert repr(task.dev[0].answers[0]) in found.not_right.sentence
    assert (await probed(task, ScriptedModel(lambda _: "Answer: yes"))).not_right is None


async def test_a_coin_comes_right_in_some_try_but_has_no_room(task: Task) -> None:
    rng = Random(0)
    found = await probed(task, ScriptedModel(lambda _: f"Answer: {rng.choice(['yes', 'no'])}"))
    assert found.ever_right > 0.9
    assert found.chance_of_any > 0.9
    assert found.ceiling < 0.85


async def test_what_another_prompt_reaches_is_the_ceiling(task: Task) -> None:
    known = answers_of(task)

    def weak(request: Request) -> str:
        shown = any(
            "Answer:" in message.content
            for message in request.messages
            if message.role == "assistant"
        )
        return f"Answer: {known[request.messages[-1].content] if shown else 'yes'}"

    found = await probed(task, ScriptedModel(weak))
    assert found.best_other is not None
    assert found.best_other[0] == "3 solved examples"
    assert found.ceiling == mean_score(found.best_other[1]) == 1.0


async def test_a_searchs_first_prompt_is_tried_too(task: Task) -> None:
    found = await probed(task, ScriptedModel(lambda _: "Answer: yes"))
    assert "the first prompt of a search" in found.scores_by_prompt
    without = await probed(
        task, ScriptedModel(lambda _: "Answer: yes"), ScriptedModel(lambda _: "no idea")
    )
    assert list(without.scores_by_prompt) == ["3 solved examples"]


async def test_solved_examples_are_not_asked_and_no_item_is_asked_twice_in_a_try(
    task: Task,
) -> None:
    target = ScriptedModel(lambda _: "Answer: yes")
    found = await probed(task, target)
    solved = {example.input for example in task.train[:3]}
    asked = [
        request
        for request in target.batches[0]
        if request.sample == 0 and request.sampling == Sampling()
    ]
    assert not solved & {request.messages[-1].content for request in asked}
    assert len({request.messages for request in asked}) == len(asked)
    assert len(found.repeats[0]) == 40 + 8 - 3


async def test_no_test_item_is_asked(task: Task) -> None:
    target = ScriptedModel(lambda _: "Answer: yes")
    await probed(task, target)
    locked = {example.input for example in task.test.single_reading().read()}
    assert not locked & {
        message.content
        for batch in target.batches
        for request in batch
        for message in request.messages
    }


async def test_a_target_that_gives_no_answer_leaves_nothing_to_judge(task: Task) -> None:
    found = await probed(task, ScriptedModel(lambda _: Failed("infrastructure", "down")))
    assert mean_score(found.repeats[0]) is None
    assert found.best_other is None
    assert found.ceiling == 0.0


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    file = tmp_path / "capitals.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"input": f"Capital of land {number}?", "target": f"Town{number}"})
            for number in range(20)
        )
    )
    return file


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    file = tmp_path / "sums.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"input": f"{number} and 100?", "target": str(number + 100)})
            for number in range(20)
        )
    )
    return file


def knowing(task: Task, form: str, told: str = "Answer: {}", cut: bool = False) -> ScriptedModel:
    """Right about everything, in a form of its own unless its prompt names the answer line."""
    known = answers_of(task)

    def script(request: Request) -> Completion:
        said = any(
            "Answer:" in message.content for message in request.messages if message.role == "system"
        )
        return Completion(
            (told if said else form).format(known[request.messages[-1].content]), truncated=cut
        )

    return ScriptedModel(script)


async def test_answers_that_cannot_be_read_are_told_with_what_mends_them(capitals: Path) -> None:
    task = load_task(str(capitals), sizes=Sizes(8, 8, 4), seed=0)
    reading = (await probed(task, knowing(task, "<<{}>>"))).reading
    assert reading is not None
    assert reading.spoils
    assert (
        "100% of the baseline's answers are not right and not in the form that the scorer exact "
        "reads" in reading.sentence
    )
    assert "the target wrote '<<Town" in reading.sentence
    assert (
        "the baseline gets 1.00 right instead of 0.00: add that line to seed_instruction"
        in reading.sentence
    )


async def test_a_wrong_scorer_is_named_with_the_one_that_fits(sums: Path) -> None:
    task = load_task(str(sums), sizes=Sizes(8, 8, 4), seed=0, scorer="exact")
    reading = (await probed(task, knowing(task, "{}.0 in all", "{}.0 in all"))).reading
    assert reading is not None
    assert reading.spoils
    assert (
        "Under the scorer number, 1.00 of them are right: set scorer: number." in reading.sentence
    )


async def test_answers_that_are_no_target_of_any_item_are_no_hopeless_task(capitals: Path) -> None:
    task = load_task(str(capitals), sizes=Sizes(8, 8, 4), seed=0)
    reading = (await probed(task, ScriptedModel(lambda _: "Answer: B"))).reading
    assert reading is not None
    assert reading.spoils
    assert (
        "none that the scorer exact read is a target of any item: it may be the wrong scorer"
        in reading.sentence
    )
    assert "the target wrote 'Answer: B'" in reading.sentence
    assert "no scorer but exact fits the targets" in reading.sentence
    other = {task.dev[0].input: task.dev[1].answers[0]}
    wrong = ScriptedModel(
        lambda request: f"Answer: {other.get(request.messages[-1].content, task.dev[0].answers[0])}"
    )
    hopeless = await probed(task, wrong)
    assert hopeless.reading is not None
    assert not hopeless.reading.spoils, "an answer of the right kind is read as it is meant"
    assert hopeless.not_right is not None


async def test_answers_that_were_cut_off_ask_for_more_tokens(capitals: Path) -> None:
    task = load_task(str(capitals), sizes=Sizes(8, 8, 4), seed=0)
    reading = (await probed(task, knowing(task, "Well, {}", "Well, {}", cut=True))).reading
    assert reading is not None
    assert "100% of the baseline's answers could not be read" in reading.sentence
    assert "Most of them were cut off: raise sampling.max_tokens." in reading.sentence


async def test_the_answer_line_is_asked_only_where_form_may_be_at_fault(task: Task) -> None:
    steady = ScriptedModel(lambda _: "Answer: yes")
    found = await probed(task, steady)
    assert found.reading is not None
    assert (found.reading.sentence, found.reading.line_accuracy) == ("", None)
    assert "the answer line" not in found.scores_by_prompt


@pytest.mark.parametrize(
    ("targets", "shape", "suited"),
    [
        (
            [
                f"The server number {n} was down for an hour, since its disk was full again"
                for n in range(9)
            ],
            "long text",
            "text_similarity or score_model or label_model",
        ),
        ([f'{{"id": {n}}}' for n in range(9)], "json", "json"),
        ([f"over the bridge number {n}" for n in range(9)], "phrase", "token_f1 or contains"),
    ],
)
async def test_a_grader_that_does_not_fit_its_targets_is_told_from_a_hopeless_task(
    targets: list[str], shape: str, suited: str
) -> None:
    items = [Example(str(n), f"q{n}", (target,)) for n, target in enumerate(targets)]
    outcomes = [Completion(f"Answer: it is about {n}") for n in range(9)]
    read = await reading("exact", grader_named("exact"), items, [outcomes], "", True)
    assert (read.shape, read.spoils) == (shape, True)
    assert "it is the scorer that does not fit" in read.sentence
    assert read.sentence.endswith(f"Choose a grader that fits such targets: {suited}.")
    fits = await reading("token_f1", grader_named("token_f1"), items, [outcomes], "", True)
    assert fits.better_suited == ()


async def test_classes_and_short_targets_keep_their_grader() -> None:
    classes = ["a long name of a class that has twelve words or more in it", "so"]
    items = [Example(str(n), f"q{n}", (classes[0],)) for n in range(9)]
    outcomes = [Completion("Answer: no")] * 9
    assert (await reading("exact", grader_named("exact"), items, [outcomes], "", True)).shape == ""
