"""Asking the optimizer model: one batch, one second chance, distinct samples, honest counts."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.counted_model import CountedModel
from optimizer.errors import BudgetExhausted, EndpointError
from optimizer.operators.asking import Asking, Question
from optimizer.outcome_counts import OutcomeCounts, ReplyKind
from optimizer.questions.reply import read_prompt
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Message, Outcome, Request, Sampling

SAMPLING = Sampling(0.7, 256)


def question(text: str) -> Question[str]:
    return Question(text, read_prompt)


def asking(model: ScriptedModel, seed: int = 0) -> Asking:
    return Asking(CountedModel(model), SAMPLING, Random(seed))


def echo(request: Request) -> str:
    return f"<prompt>{request.messages[0].content}!</prompt>"


async def test_all_questions_are_one_batch_and_answers_keep_their_order() -> None:
    model = ScriptedModel(echo)
    assert await asking(model)([question("a"), question("b"), question("c")]) == ["a!", "b!", "c!"]
    assert [len(batch) for batch in model.batches] == [3]
    assert all(
        request.purpose == "propose" and request.sampling == SAMPLING
        for request in model.batches[0]
    )


async def test_no_questions_are_no_batch() -> None:
    model = ScriptedModel(echo)
    nothing: list[Question[str]] = []
    assert await asking(model)(nothing) == []
    assert model.batches == []


async def test_only_unreadable_replies_are_asked_again_with_the_fault_named() -> None:
    def at_second_asking(request: Request) -> str:
        return (
            echo(request)
            if request.messages[0].content == "good" or len(request.messages) > 1
            else "hm"
        )

    model = ScriptedModel(at_second_asking)
    ask = asking(model)
    assert await ask([question("bad"), question("good"), question("worse")]) == [
        "bad!",
        "good!",
        "worse!",
    ]
    first, second = model.batches
    assert [request.messages[0].content for request in second] == ["bad", "worse"]
    assert second[0].messages[:2] == (*first[0].messages, Message("assistant", "hm"))
    assert "it has no <prompt>...</prompt>" in second[0].messages[2].content
    assert ask.take_parse_failures() == 0


async def test_a_second_unreadable_reply_is_a_failed_proposal_and_counted_once() -> None:
    model = ScriptedModel(
        lambda request: "hm" if request.messages[0].content == "bad" else echo(request)
    )
    ask = asking(model)
    assert await ask([question("bad"), question("good")]) == [None, "good!"]
    assert model.calls == 3
    assert (ask.take_parse_failures(), ask.take_parse_failures()) == (1, 0)


async def test_a_failed_call_is_neither_asked_again_nor_a_parse_failure() -> None:
    model = ScriptedModel(lambda _: Failed("infrastructure", "down"))
    ask = asking(model)
    assert await ask([question("a")]) == [None]
    assert model.calls == 1
    assert ask.take_parse_failures() == 0


async def test_a_reply_that_was_cut_off_is_told_to_be_shorter() -> None:
    model = ScriptedModel(lambda _: Completion("<prompt>on and on", truncated=True))
    await asking(model)([question("a")])
    assert "cut off" in model.batches[1][0].messages[-1].content


async def test_the_same_question_is_a_new_draw_every_time() -> None:
    model = ScriptedModel(echo)
    ask = asking(model)
    await ask([question("a"), question("a"), question("b")])
    await ask([question("a")])
    asked = [request for batch in model.batches for request in batch]
    assert len(set(asked)) == 4
    first = asked[0].sample
    assert [request.sample - first for request in asked] == [0, 1, 0, 2]


async def test_searches_with_different_seeds_draw_differently_and_with_the_same_seed_alike() -> (
    None
):
    samples = []
    for seed in (1, 1, 2):
        model = ScriptedModel(echo)
        await asking(model, seed)([question("a")])
        samples.append(model.batches[0][0].sample)
    assert samples[0] == samples[1] != samples[2]


async def test_a_broken_system_is_not_hidden() -> None:
    def broken(_: Request) -> Outcome:
        raise EndpointError("The optimizer model cannot be reached.")

    with pytest.raises(EndpointError):
        await asking(ScriptedModel(broken))([question("a")])


GOOD = "<prompt>Count well.</prompt>"
OUTCOMES_BY_KIND: dict[str, tuple[str | Outcome, ...]] = {
    "readable": (GOOD, Completion(f"Let me see. {GOOD}", truncated=True)),
    "unreadable": (
        "Certainly! Count well.",
        "<prompt></prompt>",
        "<prompt>never closed",
        f"<prompt>{'x' * 9000}</prompt>",
    ),
    "empty": ("", " \n\t"),
    "truncated": (Completion("<prompt>Count", truncated=True), Completion("", truncated=True)),
    "refused": (Failed("refused", "I will not."),),
    "failed": (Failed("infrastructure", "The line is cut."),),
}
ASKED_AGAIN = {"unreadable", "empty", "truncated"}


def test_every_kind_is_here() -> None:
    assert set(OUTCOMES_BY_KIND) == set(get_args(ReplyKind))


@pytest.mark.parametrize("kind", OUTCOMES_BY_KIND)
async def test_each_reply_is_counted_under_its_kind_and_asked_again_where_that_may_help(
    kind: str,
) -> None:
    outcomes = OUTCOMES_BY_KIND[kind]
    queue = list(outcomes)
    outcome_counts = OutcomeCounts()
    model = ScriptedModel(lambda request: queue.pop(0) if len(request.messages) == 1 else GOOD)
    found = await Asking(CountedModel(model, outcome_counts), SAMPLING, Random(0))(
        [question(f"q {number}") for number in range(len(outcomes))]
    )
    again = {"again": {"readable": len(outcomes)}} if kind in ASKED_AGAIN else {}
    assert outcome_counts.replies_by_attempt == {"first": {kind: len(outcomes)}} | again
    assert [one is not None for one in found] == [kind not in ("refused", "failed")] * len(outcomes)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "it is empty"),
        (Completion("", truncated=True), "it is empty; it was cut off"),
        ("hm", "it has no <prompt>"),
        (
            Completion("<prompt>Count", truncated=True),
            "it has no <prompt>...</prompt>; it was cut off",
        ),
    ],
)
async def test_the_fault_is_named_and_no_message_goes_back_without_text(
    reply: str | Outcome, says: str
) -> None:
    model = ScriptedModel(lambda _: reply)
    await asking(model)([question("a")])
    _, said, complaint = model.batches[1][0].messages
    assert says in complaint.content
    assert said.content.strip()


@given(
    draws=st.lists(
        st.tuples(
            st.sampled_from(sorted(OUTCOMES_BY_KIND)), st.sampled_from(sorted(OUTCOMES_BY_KIND))
        ),
        max_size=30,
    )
)
async def test_the_counts_are_those_of_what_was_played_and_add_up_to_the_calls(
    draws: list[tuple[str, str]],
) -> None:
    kinds_by_question = {f"q {number}": kinds for number, kinds in enumerate(draws)}

    def play(request: Request) -> str | Outcome:
        kind = kinds_by_question[request.messages[0].content][len(request.messages) > 1]
        return OUTCOMES_BY_KIND[kind][-1]

    outcome_counts, model = OutcomeCounts(), ScriptedModel(play)
    ask = Asking(CountedModel(model, outcome_counts), SAMPLING, Random(0))
    found = await ask([question(text) for text in kinds_by_question])
    first, again = (
        Counter(kind for kind, _ in draws),
        Counter(kind for before, kind in draws if before in ASKED_AGAIN),
    )
    counted = outcome_counts.replies_by_attempt
    assert (counted.get("first", {}), counted.get("again", {})) == (first, again)
    assert sum(sum(counts.values()) for counts in counted.values()) == model.calls
    assert sum(one is not None for one in found) == first["readable"] + again["readable"]
    assert ask.take_parse_failures() == sum(again[kind] for kind in ASKED_AGAIN)


async def test_a_batch_that_breaks_is_not_counted() -> None:
    def broken(_: Request) -> Outcome:
        raise EndpointError("The optimizer model cannot be reached.")

    outcome_counts = OutcomeCounts()
    with pytest.raises(EndpointError):
        await Asking(CountedModel(ScriptedModel(broken), outcome_counts), SAMPLING, Random(0))(
            [question("a")]
        )
    assert outcome_counts.replies_by_attempt == {}


class Short:
    """A model whose budget ends: it answers the first requests, and brings them along in its
    refusal.
    """

    name = "short"

    def __init__(self, calls: int, script: Callable[[Request], str] = echo) -> None:
        self._model, self.left = ScriptedModel(script), calls

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        came = await self._model.complete(requests[: self.left])
        self.left -= len(came)
        if len(came) < len(requests):
            refusal = BudgetExhausted("The budget is spent.")
            refusal.answered = tuple(came)
            raise refusal
        return came


async def test_a_budget_that_ends_in_a_round_leaves_what_was_proposed_in_it() -> None:
    ask = Asking(CountedModel(Short(3)), SAMPLING, Random(0))
    assert await ask([question("a"), question("b")]) == ["a!", "b!"]
    assert await ask([question("c"), question("d")]) == ["c!", None]
    assert await ask([question("e")]) == [None]
    assert ask.take_parse_failures() == 0
    with pytest.raises(BudgetExhausted, match="spent"):
        ask.go_on()


async def test_a_second_chance_that_the_budget_refuses_loses_no_good_reply() -> None:
    ask = Asking(
        CountedModel(
            Short(
                2, lambda request: "hm" if request.messages[0].content == "bad" else echo(request)
            )
        ),
        SAMPLING,
        Random(0),
    )
    assert await ask([question("bad"), question("good")]) == [None, "good!"]
    assert ask.take_parse_failures() == 1
    with pytest.raises(BudgetExhausted):
        ask.go_on()


async def test_a_budget_that_ends_before_anything_was_proposed_ends_the_search_at_once() -> None:
    ask = Asking(CountedModel(Short(1)), SAMPLING, Random(0))
    assert await ask([question("a")]) == ["a!"]
    ask.take_parse_failures()
    ask.go_on()
    with pytest.raises(BudgetExhausted):
        await ask([question("b")])


async def test_what_a_check_finds_is_asked_again_with_that_fault_in_one_batch() -> None:
    checked: list[list[tuple[int, str]]] = []

    async def check(read: Sequence[tuple[int, str]]) -> list[str]:
        checked.append(list(read))
        return [
            "" if "again" in text or place == 0 else f"it is bad at {place}" for place, text in read
        ]

    def reply(request: Request) -> str:
        again = " again" if len(request.messages) > 1 else ""
        return f"<prompt>{request.messages[0].content}{again}</prompt>"

    model = ScriptedModel(reply)
    ask = asking(model)
    found = await ask([question("a"), question("b"), question("c")], check)
    assert found == ["a", "b again", "c again"]
    assert [[place for place, _ in read] for read in checked] == [[0, 1, 2], [1, 2]]
    assert [len(batch) for batch in model.batches] == [3, 2]
    assert "it is bad at 2" in model.batches[1][1].messages[-1].content
    assert ask.take_parse_failures() == 0


async def test_what_a_check_finds_twice_is_a_failed_proposal() -> None:
    async def check(read: Sequence[tuple[int, str]]) -> list[str]:
        return ["it is bad" for _ in read]

    ask = asking(ScriptedModel(echo))
    assert await ask([question("a")], check) == [None]
    assert ask.take_parse_failures() == 1
