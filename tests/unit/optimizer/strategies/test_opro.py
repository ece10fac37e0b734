"""OPRO: what its question shows, and what it drops, beyond the contract."""

import re
from dataclasses import replace

import pytest

from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step
from optimizer.scripted import ScriptedModel
from optimizer.strategies.opro import OPRO
from optimizer.strategies.scores import Scores
from optimizer.types import Request
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run


def shown(request: Request) -> list[tuple[str, str]]:
    """The (instruction, score) pairs of a question, as they stand in it."""
    return re.findall(
        "<prompt>(.*?)</prompt>\n<score>(.*?)</score>", request.messages[0].content, re.DOTALL
    )


def standing(text: str, accuracy: float | None, items: int, kept: bool) -> Standing:
    return Standing(Candidate(Prompt(text), "propose", 1), accuracy, items, None, kept)


async def proposing(*replies: str, **settings: int) -> list[Round]:
    """One round in which these are the samples."""
    queue = list(replies)
    model = ScriptedModel(lambda _: f"<prompt>{queue.pop(0)}</prompt>")
    return await run(OPRO(rounds=1, samples=len(replies), **settings), model)


class TestOPRO(StrategyContract):
    make = OPRO
    small = {"rounds": 3, "samples": 5, "beam": 2}
    max_batches_per_round = 1
    wide = {"samples": 16, "beam": 9, "exemplars": 9}
    shows_errors = False

    async def test_a_round_is_one_question_in_eight_samples(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(OPRO(rounds=4), optimizer)
        assert [len(batch) for batch in optimizer.batches] == [8] * 4
        for batch in optimizer.batches:
            assert len({request.messages for request in batch}) == 1
            assert len({request.sample for request in batch}) == 8
            assert {request.sampling.temperature for request in batch} == {1.0}
            assert batch[0].messages[0].content.count("<gold>") == 3

    async def test_the_best_twenty_are_shown_in_ascending_order_with_integer_scores(self) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(OPRO(rounds=6), optimizer)
        accuracy_by_text = {
            standing.candidate.prompt.text(): standing.accuracy
            for latest in rounds
            for standing in latest.standings
        }
        counts = []
        for batch, before in zip(optimizer.batches, rounds[:-1], strict=True):
            pairs = shown(batch[0])
            known = sorted(
                (standing.accuracy or 0.0 for standing in _latest(rounds[: before.number + 1])),
                reverse=True,
            )[:20]
            scores = [int(score) for _, score in pairs]
            assert (
                scores == sorted(scores) == [round(100 * accuracy) for accuracy in reversed(known)]
            )
            assert scores == [round(100 * (accuracy_by_text[text] or 0.0)) for text, _ in pairs]
            counts.append(len(pairs))
        assert counts[0] == 1
        assert max(counts) == 20

    async def test_low_scores_can_be_hidden(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(OPRO(rounds=3, hide_below=0.5), optimizer)
        scores = [int(score) for batch in optimizer.batches for _, score in shown(batch[0])]
        assert scores
        assert min(scores) >= 50

    async def test_no_error_and_no_response_is_shown(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(OPRO(rounds=2), optimizer)
        texts = [request.messages[0].content for batch in optimizer.batches for request in batch]
        assert not any("<response>" in text or "<given>" in text for text in texts)

    async def test_overlong_ones_and_duplicates_are_dropped_and_not_asked_again(self) -> None:
        rounds = await proposing(
            "Add them.", "add  THEM", "x" * 501, "Add it.", "x" * 500, toy.SEED.instruction.upper()
        )
        made = [one.prompt.instruction for one in candidates(rounds) if one.round == 1]
        assert sorted(made) == sorted(["Add them.", "Add it.", "x" * 500])
        assert rounds[1].parse_failures == 0

    async def test_only_the_instruction_is_another_and_the_best_survivor_is_the_parent(
        self,
    ) -> None:
        seed = Prompt(
            "Do it.",
            (Step("Read."),),
            (Demonstration("1 + 1", "Step 1: read\nAnswer: 2"),),
            "Say the answer.",
        )
        rounds = await run(OPRO(rounds=2), problem=replace(toy.PROBLEM, seed=seed))
        made = [one for one in candidates(rounds) if one.round == 2]
        assert made
        assert {one.parent for one in made} == {rounds[1].best.candidate.id}
        assert {replace(one.prompt, instruction="Do it.") for one in made} == {seed}


def _latest(rounds: list[Round]) -> list[Standing]:
    """Each candidate's last standing; the toy evaluator measures all of them on everything."""
    return list(
        {
            standing.candidate.id: standing for latest in rounds for standing in latest.standings
        }.values()
    )


class TestScores:
    @pytest.mark.parametrize(("accuracy", "score"), [(0.9, 0.6), (0.5, 0.5)])
    def test_one_that_was_dropped_early_scores_no_more_than_the_worst_that_was_kept(
        self, accuracy: float, score: float
    ) -> None:
        scores = Scores()
        scores.note(
            [
                standing("a", 0.7, 40, True),
                standing("b", 0.6, 40, True),
                standing("c", accuracy, 10, False),
            ]
        )
        assert scores.score(Prompt("c").id) == score

    def test_the_standing_with_the_most_items_counts_and_of_equals_the_last(self) -> None:
        scores = Scores()
        for accuracy, items in ((0.3, 10), (0.6, 40), (0.9, 10), (0.5, 40)):
            scores.note([standing("a", accuracy, items, True)])
        assert scores.score(Prompt("a").id) == 0.5

    def test_what_could_not_be_measured_has_no_score(self) -> None:
        scores = Scores()
        scores.note([standing("a", None, 0, True), standing("b", 0.4, 10, False)])
        assert scores.score(Prompt("a").id) is None
        assert scores.standing(Prompt("a").id) is None
        assert scores.score(Prompt("b").id) == 0.4
