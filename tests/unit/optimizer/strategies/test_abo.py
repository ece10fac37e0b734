"""ABO: decompose, demonstrate, localise, refine, and the paper's ablations, beyond the contract."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from optimizer.behaviour.localisation import vote
from optimizer.candidate import Candidate, Round
from optimizer.errors import SettingsError
from optimizer.operators.localise import Blame
from optimizer.prompt import followed_steps, read_trace
from optimizer.scripted import ScriptedModel
from optimizer.strategies.abo import ABO
from optimizer.types import Example, Request
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run

SMALL = {
    "rounds": 3,
    "patience": 3,
    "beam": 2,
    "minibatch": 8,
    "decompositions": 3,
    "children": 2,
    "localised_errors": 3,
}


class TestABO(StrategyContract):
    make = ABO
    small = SMALL
    max_batches_per_round = 4


class TestWithoutDemonstrations(StrategyContract):
    make = ABO
    small = SMALL | {"demonstrations": 0}
    max_batches_per_round = 2


class TestWholePromptAtRandom(StrategyContract):
    make = ABO
    small = SMALL | {"refine": "whole_prompt", "localise": "random"}
    max_batches_per_round = 3


def operators(optimizer: ScriptedModel) -> list[dict[str, int]]:
    return [dict(Counter(operator(request) for request in batch)) for batch in optimizer.batches]


def operator(request: Request) -> str:
    return request.messages[0].content.partition("\n")[0].removeprefix("Operator: ")


def questions(optimizer: ScriptedModel, name: str) -> list[str]:
    return [
        request.messages[0].content
        for batch in optimizer.batches
        for request in batch
        if operator(request) == name
    ]


def authored(name: str, reply: Callable[[Request], str]) -> ScriptedModel:
    """The toy optimizer model with another reply to one operator."""
    return ScriptedModel(
        lambda request: reply(request) if operator(request) == name else toy.author(request)
    )


def wrong_in_training(request: Request) -> str:
    """The toy target model, but no training item is answered rightly: every prompt has errors to
    learn from.
    """
    return (
        toy.target(request)
        if toy.MARKER in request.messages[-1].content
        else "Step 1: done\nAnswer: unknown"
    )


def refinements(rounds: list[Round]) -> list[tuple[Candidate, Candidate]]:
    """(parent, child) of every refinement."""
    by_id = {one.id: one for one in candidates(rounds)}
    return [(by_id[str(one.parent)], one) for one in by_id.values() if one.operator == "refine"]


async def test_a_round_is_localise_then_refine_then_demonstrate() -> None:
    optimizer = ScriptedModel(toy.author)
    settings = ABO(rounds=1, beam=2, decompositions=3, children=2, localised_errors=3)
    rounds = await run(settings, optimizer, ScriptedModel(wrong_in_training))
    assert len(rounds[0].standings) == 4
    assert all(one.prompt.steps for one in rounds[0].kept)
    assert operators(optimizer) == [
        {"decompose": 3},
        {"demonstrate": 6},
        {"localise": 6},
        {"refine": 4},
        {"demonstrate": 8},
    ]


async def test_only_the_failing_step_is_another() -> None:
    made = refinements(await run(ABO(**SMALL)))
    assert made
    for parent, child in made:
        changed = (child.changed_step or 0) - 1
        before, after = parent.prompt.steps, child.prompt.steps
        parts = len(after) - len(before) + 1
        assert after[:changed] == before[:changed]
        assert after[changed + parts :] == before[changed + 1 :]
        assert after[changed : changed + parts] != before[changed : changed + 1]
        assert (
            child.reflection == f"Step {child.changed_step} was skipped: There is no line for it."
        )
        assert (child.prompt.instruction, child.prompt.closing) == (
            parent.prompt.instruction,
            parent.prompt.closing,
        )


async def test_the_refiner_sees_errors_that_blame_the_failing_step() -> None:
    def by_input(request: Request) -> str:
        number = 1 if toy.chance(given(request.messages[0].content)) < 0.5 else 2
        return f"<step>{number}</step><kind>wrong</kind><evidence>{given(request.messages[0].content)}</evidence>"

    def given(text: str) -> str:
        return text.partition("<input>")[2].partition(" {{")[0]

    optimizer = authored("localise", by_input)
    await run(
        ABO(rounds=1, beam=2, decompositions=2, cases=8),
        optimizer,
        ScriptedModel(wrong_in_training),
    )
    asked = questions(optimizer, "refine")
    assert {text.partition("<step>")[2][0] for text in asked} == {"1", "2"}
    for text in asked:
        blamed = text.partition("<step>")[2][0]
        inputs = [part.partition(" {{")[0] for part in text.split("<input>")[1:]]
        assert inputs
        assert all(("1" if toy.chance(shown) < 0.5 else "2") == blamed for shown in inputs)


async def test_a_step_can_be_split() -> None:
    split = authored(
        "refine",
        lambda request: f"<steps>\n- List all {request.sample} [list]\n- Add them up\n</steps>",
    )
    made = refinements(await run(ABO(**SMALL | {"rounds": 1}), split))
    assert made
    assert all(
        [step.form for step in child.prompt.steps] == ["text", "list", "text"] for _, child in made
    )


async def test_demonstrations_follow_their_prompts_steps_to_the_gold_answer() -> None:
    rounds = await run(ABO(**SMALL | {"demonstrations": 3}))
    gold_by_input = {example.input: example.answers[0] for example in toy.PROBLEM.train}
    taught = [one.prompt for one in candidates(rounds) if one.operator != "seed"]
    for prompt in taught:
        assert len({shown.input for shown in prompt.demonstrations}) == 3
        for shown in prompt.demonstrations:
            trace = read_trace(shown.response)
            assert followed_steps(prompt, trace) == (True,) * len(prompt.steps)
            assert trace.answer == gold_by_input[shown.input]


async def test_demonstrations_show_different_answers_where_there_are_some() -> None:
    train = tuple(
        Example(str(at), f"question {at}", ("No" if at % 8 else "Yes",)) for at in range(24)
    )
    rounds = await run(ABO(**SMALL), problem=replace(toy.PROBLEM, train=train))
    for one in candidates(rounds):
        answers = [read_trace(shown.response).answer for shown in one.prompt.demonstrations]
        assert sorted(answers) == ([] if one.operator == "seed" else ["No", "Yes"])


@pytest.mark.parametrize(
    "fault",
    [
        lambda text: re.sub("Answer: .*", "Answer: 0.5", text),
        lambda text: re.sub("Step 2: .*\n", "", text),
        lambda text: re.sub("Answer: .*", "", text),
        lambda text: text.replace("Answer:", "Step 3: more\nAnswer:"),
    ],
    ids=["wrong answer", "step missing", "no answer", "step too many"],
)
async def test_a_faulty_demonstration_is_asked_again_then_replaced_then_left_out(
    fault: Callable[[str], str],
) -> None:
    optimizer = authored("demonstrate", lambda request: fault(toy.author(request)))
    rounds = await run(
        ABO(rounds=0, decompositions=2, demonstrations=2, demonstration_attempts=2), optimizer
    )
    assert operators(optimizer) == [{"decompose": 2}, *[{"demonstrate": 4}] * 4]
    assert [one.prompt.demonstrations for one in candidates(rounds)] == [()] * 3
    assert rounds[0].parse_failures == 8
    assert "its <response>" in optimizer.batches[2][0].messages[-1].content
    items = [
        [request.messages[0].content.partition("<input>")[2] for request in batch]
        for batch in optimizer.batches
    ]
    assert items[1] == items[2]
    for plan in (slice(0, 2), slice(2, 4)):
        assert not set(items[1][plan]) & set(items[3][plan])


async def test_a_demonstration_mended_at_the_second_asking_is_used() -> None:
    def at_second_asking(request: Request) -> str:
        return toy.author(request) if len(request.messages) == 3 else "<response>no</response>"

    optimizer = authored("demonstrate", at_second_asking)
    rounds = await run(ABO(rounds=0, demonstrations=1), optimizer)
    assert all(
        one.prompt.demonstrations for one in candidates(rounds) if one.operator == "decompose"
    )
    assert rounds[0].parse_failures == 0


async def test_refinements_that_do_not_help_are_rolled_back_and_their_reason_reaches_the_next_try() -> (
    None
):
    optimizer = authored(
        "refine", lambda request: f"<steps>\n- Be calm {request.sample % 3}\n</steps>"
    )
    rounds = await run(ABO(rounds=2, beam=2, decompositions=2, children=2), optimizer)
    tried = [
        text.partition("<tried>")[2].partition("</tried>")[0].split("\n")[1:-1]
        for text in questions(optimizer, "refine")
    ]
    accuracy_by_id = {standing.candidate.id: standing.accuracy for standing in rounds[1].standings}
    lost = {
        child.prompt.steps[1].text
        for parent, child in refinements(rounds[:2])
        if (accuracy_by_id[child.id] or 0) <= (accuracy_by_id[parent.id] or 0)
    }
    assert lost
    assert not any(
        child in rounds[1].kept
        for _, child in refinements(rounds[:2])
        if child.prompt.steps[1].text in lost
    )
    assert tried[0] == [""]
    reasons = [line.split(" => ") for lines in tried for line in lines if line]
    assert {wording for wording, _ in reasons} == lost
    told = re.compile(
        r"accuracy went from 0\.\d\d to 0\.\d\d; followed in \d+% of the responses, the old step "
        r"in \d+%"
    )
    assert all(told.fullmatch(reason) for _, reason in reasons)
    again = [
        child.prompt.steps[1].text
        for parent, child in refinements(rounds)
        if child.round == 2 and parent in rounds[1].kept
    ]
    assert not lost.intersection(again)


async def test_it_ends_when_nothing_moves_any_more() -> None:
    rounds = await run(
        ABO(**SMALL | {"rounds": 9, "patience": 2}), target=ScriptedModel(toy.flawless)
    )
    assert [latest.number for latest in rounds] == [0, 1, 2]


async def test_without_demonstrations_none_is_written() -> None:
    optimizer = ScriptedModel(toy.author)
    rounds = await run(ABO(**SMALL | {"demonstrations": 0}), optimizer)
    assert questions(optimizer, "refine")
    assert not questions(optimizer, "demonstrate")
    assert not any(one.prompt.demonstrations for one in candidates(rounds))


async def test_the_whole_prompt_can_be_rewritten_from_the_same_evidence() -> None:
    optimizer = ScriptedModel(toy.author)
    rounds = await run(ABO(**SMALL | {"refine": "whole_prompt"}), optimizer)
    assert questions(optimizer, "localise")
    assert not questions(optimizer, "refine")
    rewritten = [text for text in questions(optimizer, "decompose") if "<response>" in text]
    assert rewritten
    assert all("Step 2 was skipped: There is no line for it." in text for text in rewritten)
    assert {one.operator for one in candidates(rounds)} == {"seed", "decompose"}


async def test_any_step_can_be_blamed_instead_of_the_failing_one() -> None:
    optimizer = ScriptedModel(toy.author)
    rounds = await run(
        ABO(**SMALL | {"localise": "random"}), optimizer, ScriptedModel(wrong_in_training)
    )
    assert not questions(optimizer, "localise")
    assert {child.changed_step for _, child in refinements(rounds)} == {1, 2}


async def test_a_surviving_prompt_without_steps_is_decomposed() -> None:
    def only_from_errors(request: Request) -> str:
        return toy.author(request) if "<response>" in request.messages[0].content else "none"

    optimizer = authored("decompose", only_from_errors)
    rounds = await run(ABO(**SMALL | {"rounds": 1}), optimizer)
    assert [one.operator for one in candidates(rounds[:1])] == ["seed"]
    made = [one for one in candidates(rounds) if one.round == 1]
    assert made
    assert {one.operator for one in made} == {"decompose"}
    assert rounds[1].note.startswith("Failing first: no step")


async def test_a_right_prompt_is_left_alone() -> None:
    optimizer = ScriptedModel(toy.author)
    await run(ABO(**SMALL), optimizer, ScriptedModel(toy.flawless))
    assert operators(optimizer) == [{"decompose": 3}, {"demonstrate": 6}]


def test_votes_are_counted_and_the_earlier_step_wins_a_tie() -> None:
    one, two = Blame(1, "wrong", "a"), Blame(2, "skipped", "b")
    assert vote([two, one]) == one
    assert vote([two, one, two, Blame(2, "wrong", "c"), two]) == Blame(2, "skipped", "b\nc")
    assert vote([Blame(3, "wrong", str(at)) for at in range(9)]).evidence == "0\n1\n2"


async def test_prompts_are_steps_between_an_opening_and_a_closing_line() -> None:
    rounds = await run(
        ABO(rounds=0, decompositions=1, opening="Do this:", closing="Say 'Answer: '.")
    )
    made = next(one.prompt for one in candidates(rounds) if one.operator == "decompose")
    assert made.text().split("\n")[:2] == ["Do this:", "1. Read the question."]
    assert made.text().endswith("\nSay 'Answer: '.")


@pytest.mark.parametrize("name", ["localise", "refine"])
def test_unknown_switches_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"setting {name} is 'both'"):
        ABO(**{name: "both"})
