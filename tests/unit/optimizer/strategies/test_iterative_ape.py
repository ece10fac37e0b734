"""Resampling: what its proposals are made from, beyond the contract."""

from dataclasses import replace

import pytest

from optimizer.errors import SettingsError
from optimizer.prompt import Prompt
from optimizer.scripted import ScriptedModel
from optimizer.strategies.iterative_ape import IterativeAPE
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run


class TestIterativeAPE(StrategyContract):
    make = IterativeAPE
    small = {"rounds": 3, "pool": 5, "beam": 2}
    max_batches_per_round = 1
    wide = {"pool": 20, "beam": 9}
    shows_errors = False

    async def test_the_pool_is_induced_from_examples_and_survivors_are_varied(self) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(IterativeAPE(rounds=1, pool=5, beam=3, solved_examples=2), optimizer)
        pool, variations = (
            [request.messages[0].content for request in batch] for batch in optimizer.batches
        )
        assert len(pool) == 5
        assert all(
            text.startswith("Operator: induce\n") and text.count("<gold>") == 2 for text in pool
        )
        assert len(variations) == 3
        for text, survivor in zip(variations, rounds[0].kept, strict=True):
            assert text.startswith("Operator: vary\n")
            assert f"<prompt>\n{survivor.prompt.text()}\n</prompt>" in text

    async def test_no_variation_sees_an_error_or_a_score(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(IterativeAPE(rounds=2, pool=4), optimizer)
        assert not any(
            "<response>" in request.messages[0].content
            for batch in optimizer.batches
            for request in batch
        )

    async def test_the_pool_can_be_variations_of_the_seed_prompt(self) -> None:
        rounds = await run(IterativeAPE(rounds=0, pool=4, source="vary"))
        made = [one for one in candidates(rounds) if one.operator != "seed"]
        assert {one.operator for one in made} == {"vary"}
        assert 1 < len(made) <= 4

    async def test_there_are_no_variations_of_an_empty_prompt(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(
            IterativeAPE(rounds=1, source="vary"),
            optimizer,
            problem=replace(toy.PROBLEM, seed=Prompt()),
        )
        assert optimizer.calls == 0

    def test_an_unknown_source_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="induce, vary"):
            IterativeAPE(source="thin air")  # type: ignore[arg-type]
