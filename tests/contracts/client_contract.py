"""What every client and every engine does as a language model.

Inherit, and give a `model` fixture that answers `QUESTIONS`.
"""

import asyncio
from dataclasses import replace

from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Message, Request, Sampling
from serving.contracts.streaming import pieces


def ask(text: str, sample: int = 0, temperature: float = 0.0, max_tokens: int = 24) -> Request:
    return Request((Message("user", text),), Sampling(temperature, max_tokens), sample)


QUESTIONS = tuple(ask(f"Operator: vary\nQuestion number {number}.") for number in range(20))


class LanguageModelContract:
    """One outcome a request, in order, as values."""

    async def test_an_empty_batch_is_answered_by_an_empty_list(self, model: LanguageModel) -> None:
        assert await model.complete([]) == []

    async def test_there_is_one_outcome_a_request(self, model: LanguageModel) -> None:
        outcomes = await model.complete(QUESTIONS)
        assert len(outcomes) == len(QUESTIONS)
        assert all(isinstance(outcome, Completion | Failed) for outcome in outcomes)

    async def test_outcomes_stand_in_the_order_of_the_requests(self, model: LanguageModel) -> None:
        forward = await model.complete(QUESTIONS)
        assert await model.complete(QUESTIONS[::-1]) == forward[::-1]

    async def test_a_request_is_answered_the_same_alone_and_in_a_batch(
        self, model: LanguageModel
    ) -> None:
        batch = await model.complete(QUESTIONS[:6])
        assert [(await model.complete([question]))[0] for question in QUESTIONS[:6]] == batch

    async def test_batches_may_run_at_the_same_time(self, model: LanguageModel) -> None:
        halves = await asyncio.gather(
            model.complete(QUESTIONS[:10]), model.complete(QUESTIONS[10:])
        )
        assert [*halves[0], *halves[1]] == await model.complete(QUESTIONS)

    async def test_a_stream_is_the_whole_answer_in_pieces(self, model: LanguageModel) -> None:
        for question in QUESTIONS[:4]:
            *texts, outcome = [piece async for piece in pieces(model, question)]
            assert [outcome] == await model.complete([question])
            assert isinstance(outcome, Completion)
            assert all(isinstance(text, str) and text for text in texts)
            assert "".join(str(text) for text in texts) == outcome.text

    async def test_streams_may_run_at_the_same_time(self, model: LanguageModel) -> None:
        async def last(question: Request) -> object:
            return [piece async for piece in pieces(model, question)][-1]

        assert await asyncio.gather(*map(last, QUESTIONS[:6])) == await model.complete(
            QUESTIONS[:6]
        )

    async def test_a_raw_request_is_answered_whole_and_in_pieces(
        self, model: LanguageModel
    ) -> None:
        raw = replace(QUESTIONS[0], raw=True)
        (outcome,) = await model.complete([raw])
        assert isinstance(outcome, Completion)
        assert [piece async for piece in pieces(model, raw)][-1] == outcome

    async def test_requests_are_left_as_they_were(self, model: LanguageModel) -> None:
        questions = list(QUESTIONS[:3])
        await model.complete(questions)
        assert questions == list(QUESTIONS[:3])

    def test_the_name_stands(self, model: LanguageModel) -> None:
        assert model.name
        assert model.name == model.name
