"""APO: its calls of a round are the paper's, beyond the contract."""

from collections import Counter
from dataclasses import replace

from optimizer.prompt import Demonstration, Prompt, Step
from optimizer.scripted import ScriptedModel
from optimizer.strategies.apo import APO
from optimizer.types import Request
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run


class TestAPO(StrategyContract):
    make = APO
    small = {"rounds": 3, "beam": 2, "minibatch": 8, "error_groups": 2, "max_children": 3}
    max_batches_per_round = 3
    wide = {"beam": 6, "minibatch": 24, "error_groups": 5, "paraphrases": 4, "max_children": 9}

    async def test_a_round_is_critics_then_editors_then_paraphrases(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(APO(rounds=1, minibatch=24, error_groups=3, paraphrases=2), optimizer)
        critics, editors, paraphrases = optimizer.batches
        assert [_operators(batch) for batch in optimizer.batches] == [
            {"criticise": 3},
            {"edit": 3},
            {"paraphrase": 8},
        ]
        assert all(
            request.messages[0].content.count("<given>") == 4 for request in (*critics, *editors)
        )
        assert f"<prompt>\n{toy.SEED.text()}\n</prompt>" in paraphrases[0].messages[0].content

    async def test_an_editor_sees_its_critics_errors_and_reason(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(APO(rounds=1), optimizer)
        for critic, editor in zip(*optimizer.batches[:2], strict=True):
            seen, told = critic.messages[0].content, editor.messages[0].content
            assert _between(seen, "<examples>", "</examples>") == _between(
                told, "<examples>", "</examples>"
            )
            assert (
                _between(toy.author(critic), "<reason>", "</reason>")
                == _between(told, "<reason>", "</reason>").strip()
            )

    async def test_at_most_so_many_children_of_each_parent_compete(self) -> None:
        rounds = await run(APO(rounds=3, beam=3, max_children=4))
        for latest in rounds[1:]:
            litters = Counter(
                one.parent for one in candidates([latest]) if one.round == latest.number
            )
            assert litters
            assert max(litters.values()) <= 4

    async def test_an_edit_and_its_paraphrases_carry_the_criticism(self) -> None:
        rounds = await run(APO(rounds=1, paraphrases=3, max_children=99))
        made = [one for one in candidates(rounds) if one.round == 1]
        assert all(
            one.reflection.startswith("It never says") for one in made if one.operator == "edit"
        )
        assert {bool(one.reflection) for one in made if one.operator == "paraphrase"} == {
            True,
            False,
        }

    async def test_only_the_instruction_is_edited(self) -> None:
        seed = Prompt(
            "Do it.",
            (Step("Read."),),
            (Demonstration("1 + 1", "Step 1: read\nAnswer: 2"),),
            "Say the answer.",
        )
        problem = replace(toy.PROBLEM, seed=seed)
        made = [
            one.prompt
            for one in candidates(await run(APO(rounds=1), problem=problem))
            if one.round == 1
        ]
        assert made
        assert all(
            (new.steps, new.demonstrations, new.closing)
            == (seed.steps, seed.demonstrations, seed.closing)
            for new in made
        )
        assert len({new.instruction for new in made}) == len(made)

    async def test_a_prompt_without_errors_is_only_paraphrased(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(APO(rounds=1), optimizer, ScriptedModel(toy.flawless))
        assert [_operators(batch) for batch in optimizer.batches] == [{"paraphrase": 2}]


def _operators(batch: tuple[Request, ...]) -> dict[str, int]:
    return dict(
        Counter(
            request.messages[0].content.partition("\n")[0].removeprefix("Operator: ")
            for request in batch
        )
    )


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
