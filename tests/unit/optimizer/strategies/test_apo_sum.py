"""APO-Sum: what its summaries and its editors see, beyond the contract and what it shares with APO."""

import re
from collections import Counter

import pytest

from optimizer.questions.reply import Unreadable, read_causes
from optimizer.scripted import ScriptedModel
from optimizer.strategies.apo_sum import APOSum
from optimizer.types import Request
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run

CAUSES = "- The numbers are not listed.\n- The sum is not checked."


def summing(request: Request) -> str:
    return (
        f"<causes>\n{CAUSES}\n</causes>"
        if operator(request) == "summarise"
        else toy.author(request)
    )


def operator(request: Request) -> str:
    return request.messages[0].content.partition("\n")[0].removeprefix("Operator: ")


def inside(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]


class TestAPOSum(StrategyContract):
    make = APOSum
    small = {"rounds": 3, "beam": 2, "minibatch": 8, "error_groups": 2, "max_children": 3}
    max_batches_per_round = 4
    wide = {"beam": 6, "minibatch": 24, "error_groups": 5, "paraphrases": 4, "max_children": 9}

    async def test_a_round_is_critics_then_one_summary_a_parent_then_as_many_editors_as_critics(
        self,
    ) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(APOSum(rounds=2, beam=3, minibatch=24, error_groups=3), optimizer)
        critics, summaries, editors, _ = (
            [operator(request) for request in batch] for batch in optimizer.batches[4:]
        )
        parents = len(rounds[1].kept)
        assert parents == 3
        assert Counter(critics) == {"criticise": 3 * parents}
        assert Counter(summaries) == {"summarise": parents}
        assert Counter(editors) == {"edit": 3 * parents}

    async def test_a_summary_sees_what_all_critics_of_its_prompt_said_and_no_error(self) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(APOSum(rounds=1, minibatch=24), optimizer)
        critics, [summary], _, _ = optimizer.batches
        said = [re.sub("</?reason>", "", toy.author(critic)) for critic in critics]
        text = summary.messages[0].content
        assert re.findall("<reason>(.*?)</reason>", text) == said
        assert inside(text, "prompt") == toy.SEED.text()
        assert "<response>" not in text

    async def test_every_editor_sees_the_list_of_causes_and_its_own_errors(self) -> None:
        optimizer = ScriptedModel(summing)
        rounds = await run(APOSum(rounds=1, minibatch=24), optimizer)
        critics, _, editors, _ = optimizer.batches
        for critic, editor in zip(critics, editors, strict=True):
            assert inside(editor.messages[0].content, "reason") == CAUSES
            assert inside(editor.messages[0].content, "examples") == inside(
                critic.messages[0].content, "examples"
            )
        assert {one.reflection for one in candidates(rounds) if one.operator == "edit"} == {CAUSES}

    async def test_a_group_whose_critic_cannot_be_read_is_edited_by_what_the_others_found(
        self,
    ) -> None:
        critics: list[Request] = []

        def one_mute_critic(request: Request) -> str:
            if operator(request) == "criticise":
                critics.append(request)
                return (
                    "hm" if critics[0].messages[0] == request.messages[0] else toy.author(request)
                )
            return summing(request)

        optimizer = ScriptedModel(one_mute_critic)
        await run(APOSum(rounds=1, minibatch=24, error_groups=3), optimizer)
        asked = Counter(operator(request) for batch in optimizer.batches for request in batch)
        assert (asked["summarise"], asked["edit"]) == (1, 3)


def test_causes_are_read_each_once() -> None:
    lines = "- It is vague.\n2. No sum.\n* It is vague.\n-  \n"
    assert read_causes(f"So: <causes>\n{lines}</causes>") == "- It is vague.\n- No sum."


@pytest.mark.parametrize(
    "reply", ["", "<causes></causes>", "<causes>\nprose\n</causes>", "- It is vague."]
)
def test_a_reply_without_causes_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable, match="<causes>"):
        read_causes(reply)
