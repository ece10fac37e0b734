"""The rulebook: its phrase book recognises its own phrases, it looks at evidence, and its dial
makes it look away.
"""

from random import Random

import pytest

from optimizer.operators.criticise import criticise
from optimizer.operators.decompose import decompose
from optimizer.operators.demonstrate import demonstrate
from optimizer.operators.edit import edit
from optimizer.operators.induce import induce
from optimizer.operators.localise import Blame, Kind, localise
from optimizer.operators.paraphrase import paraphrase
from optimizer.operators.propose import propose
from optimizer.operators.refine import Setback, refine
from optimizer.operators.revise import revise
from optimizer.operators.vary import vary
from optimizer.prompt import Demonstration, Step
from optimizer.questions.template import solved
from optimizer.tasks.generated import GENERATED, GeneratedTask
from optimizer.types import Answer, Completion, Example, Message, Request, Score
from serving.engines.rulebook.engine import STAND_IN, RulebookEngine
from serving.engines.rulebook.phrasebook import (
    PHRASEBOOK,
    STOCK_REASONS,
    STRONGER,
    kind_of,
    task_behind,
)
from tests.contracts.kept import holds, kept_problem

NAVIGATE = GENERATED["navigate"]
TURNS = "Take 3 steps. Turn around. Take 3 steps."


def _examples(task: GeneratedTask, count: int) -> list[Example]:
    rng = Random(2)
    items = [task.generate(rng) for _ in range(count)]
    return [Example(str(at), item.question(), (item.answer,)) for at, item in enumerate(items)]


def _full_steps(task: GeneratedTask) -> list[Step]:
    return [
        Step(f"{PHRASEBOOK[task.name][kind].phrases[0]}.", PHRASEBOOK[task.name][kind].form)
        for kind in task.kinds
    ]


async def _reply(text: str, prior_bias: float = 0.0, sample: int = 0) -> Completion:
    [outcome] = await RulebookEngine(prior_bias).complete(
        [Request((Message("user", text),), sample=sample)]
    )
    assert isinstance(outcome, Completion)
    assert outcome.metadata == STAND_IN
    return outcome


@pytest.mark.parametrize("name", GENERATED)
def test_every_phrase_is_recognised_as_what_it_asks_for(name: str) -> None:
    for kind, entry in PHRASEBOOK[name].items():
        for phrase in entry.phrases:
            for tail in ("", *STRONGER):
                assert kind_of(phrase + tail, GENERATED[name]) == kind
        assert kind_of(entry.missing, GENERATED[name]) is not None


@pytest.mark.parametrize("name", GENERATED)
def test_a_task_is_recognised_from_its_inputs(name: str) -> None:
    assert (
        task_behind([example.input for example in _examples(GENERATED[name], 3)]) is GENERATED[name]
    )
    assert task_behind(["Which statement is sarcastic?"]) is None


@pytest.mark.parametrize("name", GENERATED)
async def test_demonstrations_of_the_right_steps_are_accepted_by_their_reader(name: str) -> None:
    task = GENERATED[name]
    for example in _examples(task, 5):
        question = demonstrate(task.description, _full_steps(task), example)
        assert isinstance(question.read((await _reply(question.text)).text), Demonstration)


@pytest.mark.parametrize("name", GENERATED)
async def test_plans_are_readable_and_differ_between_draws(name: str) -> None:
    task = GENERATED[name]
    question = decompose(task.description, "Think.", solved(_examples(task, 3)))
    plans = {
        question.read((await _reply(question.text, sample=sample)).text) for sample in range(8)
    }
    assert len(plans) > 1


async def test_a_skipped_step_is_located() -> None:
    steps = _full_steps(NAVIGATE)
    example = Example("1", TURNS, ("Yes",))
    response = (
        "Step 1: 3; turn around; 3\nStep 3: 3 north (0,3); turn around south (0,3); 3 south "
        "(0,0)\nAnswer: No"
    )
    question = localise("", steps, Answer(example, response, Score("wrong", "No")))
    blame = question.read((await _reply(question.text)).text)
    assert (blame.step, blame.kind) == (2, "skipped")


async def test_a_false_step_is_located_with_the_first_difference() -> None:
    steps = [step for step in _full_steps(NAVIGATE) if "direction" not in step.text]
    example = Example("1", TURNS, ("Yes",))
    response = (
        "Step 1: 3; turn around; 3\nStep 2: 3 (0,3); turn around (0,3); 3 (0,6)\nStep 3: (0,6) is "
        "not (0,0)\nAnswer: No"
    )
    question = localise("", steps, Answer(example, response, Score("wrong", "No")))
    blame = question.read((await _reply(question.text)).text)
    assert (blame.step, blame.kind) == (2, "wrong")
    assert "(0,6)" in blame.evidence


async def test_criticism_looks_at_the_responses_unless_biased() -> None:
    answers = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 4)
    ]
    question = criticise("", "Think.", answers)
    known = {entry.missing for entry in PHRASEBOOK["navigate"].values()}
    fair = [question.read((await _reply(question.text, 0.0, sample)).text) for sample in range(10)]
    assert all(any(missing in reason for missing in known) for reason in fair)
    biased = [
        question.read((await _reply(question.text, 1.0, sample)).text) for sample in range(10)
    ]
    assert set(biased) <= set(STOCK_REASONS)


async def test_an_edit_asks_for_what_the_reason_misses() -> None:
    answers = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 2)
    ]
    question = edit(
        "",
        "Let's think step by step.",
        answers,
        "In the responses the position after each move is not written down.",
    )
    edited = question.read((await _reply(question.text)).text)
    assert edited.startswith("Let's think step by step.")
    assert "positions" in {kind_of(sentence, NAVIGATE) for sentence in edited.split(". ")}


async def test_equal_requests_get_equal_replies_and_samples_differ() -> None:
    text = paraphrase("List each move. Write every position.").text
    assert (await _reply(text, sample=1)).text == (await _reply(text, sample=1)).text
    assert len({(await _reply(text, sample=sample)).text for sample in range(12)}) > 1


async def test_it_works_weakly_on_a_task_that_it_does_not_know() -> None:
    example = Example("1", "Which is sarcastic? (a) one (b) two", ("(a)",))
    plan = decompose("", "Think.", solved([example]))
    steps = plan.read((await _reply(plan.text)).text)
    shown = demonstrate("", steps, example)
    assert isinstance(shown.read((await _reply(shown.text)).text), Demonstration)


async def test_it_says_so_when_it_is_asked_something_else() -> None:
    assert "operators" in (await _reply("What is the capital of France?")).text


def _without(kind: str) -> list[Step]:
    return [step for step in _full_steps(NAVIGATE) if kind_of(step.text, NAVIGATE) != kind]


async def _refined(
    steps: list[Step], number: int, kind: Kind, setbacks: list[Setback]
) -> list[str | None]:
    cases = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 2)
    ]
    question = refine(NAVIGATE.description, steps, Blame(number, kind, ""), cases, setbacks)
    return [
        kind_of(step.text, NAVIGATE) for step in question.read((await _reply(question.text)).text)
    ]


async def test_a_false_step_is_split_from_what_it_leans_on() -> None:
    assert await _refined(_without("facing"), 2, "wrong", []) == ["facing", "positions"]


async def test_a_skipped_step_is_reworded_and_then_split() -> None:
    assert await _refined(_without("facing"), 2, "skipped", []) == ["positions"]
    assert await _refined(
        _without("facing"), 2, "skipped", [Setback("Note it all.", "not followed")]
    ) == ["facing", "positions"]


async def test_a_step_that_says_too_little_gets_the_next_one_behind_it() -> None:
    assert await _refined(_full_steps(NAVIGATE)[:1], 1, "ambiguous", []) == ["moves", "facing"]


async def test_what_was_rolled_back_is_not_written_again() -> None:
    entry = PHRASEBOOK["navigate"]["moves"]
    setbacks = [Setback(phrase + tail, "no gain") for phrase in entry.phrases for tail in STRONGER][
        :-1
    ]
    cases = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 2)
    ]
    question = refine("", _full_steps(NAVIGATE), Blame(1, "skipped", ""), cases, setbacks)
    assert [step.text for step in question.read((await _reply(question.text)).text)] == [
        entry.phrases[-1] + STRONGER[-1] + "."
    ]


@pytest.mark.parametrize(
    ("lacking", "kinds"),
    [
        ("facing", ["moves", "facing", "positions", "compare"]),
        ("moves", ["moves", "facing", "positions", "compare"]),
    ],
)
async def test_a_revision_inserts_the_missing_step_and_copies_the_others(
    lacking: str, kinds: list[str]
) -> None:
    old = _without(lacking)
    cases = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 2)
    ]
    question = revise(
        "", old, cases, f"In the responses {PHRASEBOOK['navigate'][lacking].missing}."
    )
    new = question.read((await _reply(question.text)).text)
    assert [kind_of(step.text, NAVIGATE) for step in new] == kinds
    assert [step for step in new if step in old] == old


async def test_a_revision_says_a_step_that_is_there_more_strongly() -> None:
    old = _full_steps(NAVIGATE)
    cases = [
        Answer(example, "Answer: Yes", Score("wrong", "Yes")) for example in _examples(NAVIGATE, 2)
    ]
    question = revise(
        "", old, cases, f"In the responses {PHRASEBOOK['navigate']['moves'].missing}."
    )
    new = question.read((await _reply(question.text)).text)
    assert new[1:] == tuple(old[1:])
    assert any(new[0].text.endswith(f"{tail}.") for tail in STRONGER)


@pytest.mark.parametrize("length", [1, 200])
async def test_fixed_parts_and_long_prompts_are_changed_and_not_replaced(length: int) -> None:
    lines = "\n".join(f"Rule {number} is a rule." for number in range(length))
    problem = kept_problem(f"{lines}\n\n## Form\nOne line.", ("## Form",))
    old = problem.seed.instruction
    examples = _examples(GENERATED["navigate"], 3)
    asked = [
        edit(problem, old, [Answer(one, "x", Score("wrong")) for one in examples], "It is vague."),
        vary(problem, old),
        paraphrase(old, problem),
        propose(problem, [(old, 50)], examples, 20_000),
        induce(problem, examples),
    ]
    for question in asked:
        new = question.read((await _reply(question.text)).text)
        assert holds(new, problem.keep)
        assert new != old
