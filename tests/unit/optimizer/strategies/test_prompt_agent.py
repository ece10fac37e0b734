"""PromptAgent: its tree, worked by hand, and what its writers see, beyond the contract."""

import re
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from math import log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.counted_model import CountedModel
from optimizer.prompt import Prompt
from optimizer.scripted import ScriptedModel
from optimizer.strategies.prompt_agent import ALL_RIGHT, PromptAgent
from optimizer.strategies.tree import Node, back_propagate, best_of, selected
from optimizer.types import Answer, Example, Failed, Purpose, Request, Score
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run


def operator(request: Request) -> str:
    return request.messages[0].content.partition("\n")[0].removeprefix("Operator: ")


def series(request: Request) -> list[str]:
    """The prompts on the path that a rewriter is shown."""
    return re.findall("<prompt>(.*?)</prompt>", inside(request, "path"))


def inside(request: Request, tag: str) -> str:
    return request.messages[0].content.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]


def depth(text: str) -> int:
    """Prompts are called by their way through the tree: "0.2.1" was written from "0.2"."""
    return text.count(".")


class Numbering:
    """An optimizer model that writes "P.1", "P.2" and so on from a prompt "P"."""

    def __init__(self) -> None:
        self._next = count(1)

    def __call__(self, request: Request) -> str:
        parent = series(request)[-1] if operator(request) == "rewrite" else ""
        return (
            f"<prompt>{parent}.{next(self._next)}</prompt>"
            if parent
            else "<reason>It never says so.</reason>"
        )


class Rewarding:
    """An evaluator with a reward for each instruction, and one right answer in a batch of errors."""

    def __init__(self, reward: Callable[[str], float]) -> None:
        self._reward = reward
        self.rivals: list[list[str]] = []

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        return [
            Answer(example, "Answer: 0", Score("wrong" if at else "right", "0"))
            for at, (_, example) in enumerate(work)
        ]

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        self.rivals.append([one.prompt.instruction for one in candidates])
        ranked = sorted(candidates, key=lambda one: -self._reward(one.prompt.instruction))
        return tuple(
            Standing(one, self._reward(one.prompt.instruction), 8, None, at < keep)
            for at, one in enumerate(ranked)
        )


async def search(reward: Callable[[str], float], **settings: float) -> list[Round]:
    problem = Problem("", Prompt("0"), toy.PROBLEM.train)
    found = PromptAgent(**settings).search(
        problem, CountedModel(ScriptedModel(Numbering())), Rewarding(reward), Random(0)
    )  # type: ignore[arg-type]
    return [latest async for latest in found]


def walks(rounds: list[Round]) -> list[list[int]]:
    """For each iteration the depths at which it wrote prompts."""
    told = [
        re.fullmatch(r"Iteration (\d+), depth (\d+): \d+ new prompts\.", latest.note)
        for latest in rounds[1:]
    ]
    pairs = [(int(note[1]), int(note[2])) for note in told if note]
    assert len(pairs) == len(rounds) - 1
    return [
        [depth for iteration, depth in pairs if iteration == number]
        for number in sorted({pair[0] for pair in pairs})
    ]


class TestPromptAgent(StrategyContract):
    make = PromptAgent
    small = {"rounds": 3}
    max_batches_per_round = 2
    wide = {"expand_width": 12, "batch": 20}
    impossible = {
        "rounds": -1,
        "iterations": -1,
        "expand_width": 0,
        "batch": 0,
        "max_tokens": 0,
        "temperature": -0.5,
    }
    beam = False

    async def test_each_child_is_written_after_five_examples_of_its_own(self) -> None:
        optimizer, target = ScriptedModel(toy.author), ScriptedModel(toy.target)
        await run(PromptAgent(rounds=1), optimizer, target)
        tried = target.batches[1]
        assert len(tried) == 3 * 5
        batches = [
            {request.messages[-1].content for request in tried[at : at + 5]} for at in (0, 5, 10)
        ]
        assert [len(batch) for batch in batches] == [5, 5, 5]
        assert len({frozenset(batch) for batch in batches}) == 3
        critics, writers = optimizer.batches
        assert [operator(request) for request in (*critics, *writers)] == ["criticise"] * 3 + [
            "rewrite"
        ] * 3
        for critic, writer in zip(critics, writers, strict=True):
            assert inside(writer, "examples") == inside(critic, "examples")
            assert inside(writer, "reason") in toy.author(critic)

    async def test_a_writer_sees_the_prompts_on_the_path_from_the_root(self) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(PromptAgent(rounds=5, exploration=0, min_depth=9), optimizer)
        by_text = {one.prompt.instruction: one for one in candidates(rounds)}
        lengths = []
        for batch in optimizer.batches[1::2]:
            path = [by_text[text] for text in series(batch[0])]
            assert inside(batch[0], "prompt") == path[-1].prompt.instruction
            assert path[0].operator == "seed"
            assert [one.parent for one in path[1:]] == [one.id for one in path[:-1]]
            lengths.append(len(path))
        assert lengths == [1, 2, 3, 4, 5]

    async def test_where_all_is_right_no_critic_is_asked(self) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(PromptAgent(rounds=1), optimizer, ScriptedModel(toy.flawless))
        [writers] = optimizer.batches
        assert [(operator(request), inside(request, "reason")) for request in writers] == [
            ("rewrite", ALL_RIGHT)
        ] * 3
        assert all(request.messages[0].content.count("<given>") == 5 for request in writers)
        assert len(rounds[1].standings) > 1

    async def test_what_infrastructure_did_not_measure_is_neither_an_error_nor_a_node(self) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(
            PromptAgent(rounds=2),
            optimizer,
            ScriptedModel(lambda _: Failed("infrastructure", "down")),
        )
        assert optimizer.calls == 0
        assert [one.prompt for one in candidates(rounds)] == [toy.SEED] * 3


class TestTheWalk:
    async def test_it_goes_on_from_the_best_child_down_to_the_depth_limit(self) -> None:
        rounds = await search(lambda text: 0.5, iterations=1, depth_limit=4)
        assert walks(rounds) == [[1, 2, 3, 4]]

    async def test_a_child_that_beats_all_ends_it_only_below_the_minimum_depth(self) -> None:
        rounds = await search(
            lambda text: depth(text) / 10, iterations=1, min_depth=2, depth_limit=8
        )
        assert walks(rounds) == [[1, 2, 3]]
        assert depth(rounds[-1].best.candidate.prompt.instruction) == 3

    async def test_a_prompt_that_ended_a_walk_by_its_reward_stays_open(self) -> None:
        """As in the paper's code: with one child a prompt, the next walk goes through it and on."""
        rounds = await search(
            lambda text: depth(text) / 10, iterations=3, min_depth=2, depth_limit=8, expand_width=1
        )
        assert walks(rounds) == [[1, 2, 3], [4], [5]]
        assert depth(rounds[-1].best.candidate.prompt.instruction) == 5

    async def test_what_beats_all_must_beat_the_earlier_walks_too(self) -> None:
        """The next walk to a new prompt meets the same reward at the same depth, and goes on to the
        limit.
        """
        rounds = await search(
            lambda text: min(depth(text), 3) / 10,
            iterations=3,
            min_depth=2,
            depth_limit=5,
            exploration=9,
        )
        assert walks(rounds)[0] == [1, 2, 3]
        assert walks(rounds)[1][-1] == 5

    async def test_a_child_that_falls_behind_ends_it_below_the_minimum_depth(self) -> None:
        """Behind the mean of the root's reward and its parent's, 0.4 and 0.6."""
        for reward, end in ((0.49, 3), (0.51, 6)):
            rewards = (0.4, 0.6, 0.6, *[reward] * 9)
            rounds = await search(
                lambda text, by_depth=rewards: by_depth[depth(text)],
                iterations=1,
                min_depth=2,
                depth_limit=6,
            )
            assert walks(rounds) == [list(range(1, end + 1))]

    async def test_so_many_iterations_and_no_more(self) -> None:
        few, many = [
            await search(lambda text: 0.5, iterations=number, depth_limit=3) for number in (4, 20)
        ]
        assert few == many[: len(few)]
        assert len(few) < len(many)
        assert few[-1].note.startswith(("Iteration 3,", "Iteration 4,"))

    async def test_the_rounds_can_be_capped(self) -> None:
        assert len(await search(lambda text: 0.5, rounds=5)) == 6

    async def test_a_walk_to_an_ended_prompt_costs_nothing(self) -> None:
        """With one child a prompt and a depth limit of 1 there is one expansion; eleven iterations
        walk the path again.
        """
        assert (
            len(await search(lambda text: 0.5, iterations=12, depth_limit=1, expand_width=1)) == 2
        )

    async def test_the_result_so_far_stands_first_and_competes_with_new_children(self) -> None:
        rounds = await search(lambda text: toy.chance(text, 3), iterations=12, depth_limit=4)
        for before, latest in pairwise(rounds):
            assert [standing.kept for standing in latest.standings] == [True] + [False] * (
                len(latest.standings) - 1
            )
            assert before.best.candidate in [standing.candidate for standing in latest.standings]
        assert len({latest.best.candidate.id for latest in rounds}) > 1

    async def test_the_result_is_the_best_prompt_of_the_walk_with_the_best_mean(self) -> None:
        def chance(text: str) -> float:
            return toy.chance(text, 3)

        rounds = await search(chance, iterations=12, depth_limit=4)
        end_by_iteration: dict[str, str] = {}
        steeper = 0
        for latest in rounds[1:]:
            new = [
                one.prompt.instruction for one in candidates([latest]) if one.round == latest.number
            ]
            end_by_iteration[latest.note.partition(",")[0]] = max(new, key=chance)
            walked = [
                [".".join(end.split(".")[: at + 1]) for at in range(depth(end) + 1)]
                for end in end_by_iteration.values()
            ]
            best = max(walked, key=lambda walk: sum(map(chance, walk)) / len(walk))
            assert latest.best.candidate.prompt.instruction == max(best, key=chance)
            steeper += max(best, key=chance) != max(
                (text for walk in walked for text in walk), key=chance
            )
        assert steeper


def tree(*rewards: float) -> list[Node]:
    """A chain of nodes, the root first."""
    nodes: list[Node] = []
    for number, reward in enumerate(rewards):
        nodes.append(
            Node(
                Candidate(Prompt(str(number)), "rewrite", number),
                reward,
                nodes[-1] if nodes else None,
            )
        )
        if number:
            nodes[-2].children.append(nodes[-1])
    return nodes


class TestTree:
    def test_the_bound_by_hand(self) -> None:
        root, walked = tree(0.3, 0.6)
        fresh = Node(walked.candidate, 0.4, root)
        root.returns, walked.returns = [1.0, 1.0, 1.0, 1.0], [1.0, 2.0]
        assert walked.bound(2.5) == pytest.approx(1.5 + 2.5 * sqrt(log(5) / 2))
        assert fresh.bound(2.5) == pytest.approx(0.4 + 2.5 * sqrt(log(5)))
        assert root.bound(2.5) == 1.0

    def test_selection_follows_the_larger_bound_to_a_leaf(self) -> None:
        root, walked, leaf = tree(0.3, 0.6, 0.1)
        fresh = Node(walked.candidate, 0.4, root)
        root.children.append(fresh)
        root.returns, walked.returns = [1.0, 1.0], [1.0, 1.0]
        assert selected(root, 0.0) == [root, walked, leaf]
        assert selected(root, 2.5) == [root, fresh]

    def test_of_equal_bounds_the_earlier_child(self) -> None:
        root, first = tree(0.3, 0.6)
        root.children.append(Node(first.candidate, 0.6, root))
        assert selected(root, 2.5)[-1] is first

    def test_returns_are_the_rewards_from_a_node_to_the_end(self) -> None:
        path = tree(0.25, 0.5, 0.75)
        back_propagate(path)
        assert [node.returns for node in path] == [[1.5], [1.25], [0.75]]
        back_propagate(path[:2])
        assert [node.returns for node in path] == [[1.5, 0.75], [1.25, 0.5], [0.75]]
        assert path[0].value == 1.125

    def test_the_result_is_the_best_prompt_of_the_best_path_and_not_the_best_prompt(self) -> None:
        steep, even = tree(0.5, 0.6, 0.9), tree(0.5, 0.85, 0.8)
        assert best_of([steep]) is steep[2]
        assert best_of([steep, even]) is even[1]

    @given(rewards=st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_path_and_depth_agree(self, rewards: list[float]) -> None:
        nodes = tree(*rewards)
        assert nodes[-1].path == nodes
        assert [node.depth for node in nodes] == list(range(len(nodes)))
        assert selected(nodes[0], 2.5) == nodes
