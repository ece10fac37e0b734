"""Asking the optimizer model: one batch, one second chance, distinct samples, honest counts."""

from random import Random

import pytest

from optimizer.errors import EndpointError
from optimizer.operators.asking import Asking, Question
from optimizer.operators.reply import read_prompt
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Message, Outcome, Request, Sampling

SAMPLING = Sampling(0.7, 256)


def question(text: str) -> Question[str]:
    return Question(text, read_prompt)


def asking(model: ScriptedModel, seed: int = 0) -> Asking:
    return Asking(model, SAMPLING, Random(seed))


def echo(request: Request) -> str:
    return f"<prompt>{request.messages[0].content}!</prompt>"


async def test_all_questions_are_one_batch_and_answers_keep_their_order() -> None:
    model = ScriptedModel(echo)
    assert await asking(model)([question("a"), question("b"), question("c")]) == ["a!", "b!", "c!"]
    assert [len(batch) for batch in model.batches] == [3]
    assert all(request.purpose == "propose" and request.sampling == SAMPLING for request in model.batches[0])


async def test_no_questions_are_no_batch() -> None:
    model = ScriptedModel(echo)
    nothing: list[Question[str]] = []
    assert await asking(model)(nothing) == []
    assert model.batches == []


async def test_only_unreadable_replies_are_asked_again_with_the_fault_named() -> None:
    def at_second_asking(request: Request) -> str:
        return echo(request) if request.messages[0].content == "good" or len(request.messages) > 1 else "hm"

    model = ScriptedModel(at_second_asking)
    ask = asking(model)
    assert await ask([question("bad"), question("good"), question("worse")]) == ["bad!", "good!", "worse!"]
    first, second = model.batches
    assert [request.messages[0].content for request in second] == ["bad", "worse"]
    assert second[0].messages[:2] == (*first[0].messages, Message("assistant", "hm"))
    assert "it has no <prompt>...</prompt>" in second[0].messages[2].content
    assert ask.take_parse_failures() == 0


async def test_a_second_unreadable_reply_is_a_failed_proposal_and_counted_once() -> None:
    model = ScriptedModel(lambda request: "hm" if request.messages[0].content == "bad" else echo(request))
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


async def test_searches_with_different_seeds_draw_differently_and_with_the_same_seed_alike() -> None:
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
