"""What every search method must do.

A new one inherits StrategyContract, and gives its small settings and its number of batches.
"""

import pickle
import re
from collections.abc import AsyncIterator
from dataclasses import FrozenInstanceError, fields, replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.budget.answer_memory import Remembering
from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.counted_model import CountedModel
from optimizer.errors import BudgetExhausted, SettingsError
from optimizer.evaluation.evaluator import Evaluation, rounds_of
from optimizer.grader import SameText
from optimizer.prompt import Prompt
from optimizer.protocols import LanguageModel, SelectionRule, Strategy
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full, Racing
from optimizer.statistics import discordant
from optimizer.types import Completion, Failed, Outcome, Request
from tests.contracts import kept, toy
from tests.contracts.examples import examples

GARBAGE = (
    "",
    "no idea",
    "<prompt></prompt>",
    "<steps>\nnothing numbered\n</steps>",
    "<step>99</step><kind>odd</kind>",
    "<response>x</response>",
    "</prompt><prompt>",
    "<reason>",
    "<steps>" + "- a\n" * 40 + "</steps>",
)


class Capped:
    """A model that sends no batch once `max_calls` would be passed."""

    def __init__(self, model: LanguageModel, max_calls: int) -> None:
        self._model = model
        self._left = max_calls
        self.name = model.name

    async def complete(self, requests: list[Request]) -> list[Outcome]:
        if len(requests) > self._left:
            raise BudgetExhausted("The budget of calls is used up.")
        self._left -= len(requests)
        return await self._model.complete(requests)


async def run(
    strategy: Strategy,
    optimizer: LanguageModel | None = None,
    target: LanguageModel | None = None,
    seed: int = 0,
    problem: Problem = toy.PROBLEM,
    rounds: list[Round] | None = None,
) -> list[Round]:
    """All rounds of a search on the toy task; they are put into `rounds` as they come."""
    rounds = [] if rounds is None else rounds
    evaluate = toy.InMemoryEvaluator(target or ScriptedModel(toy.target))
    async for latest in strategy.search(
        problem, CountedModel(optimizer or ScriptedModel(toy.author)), evaluate, Random(seed)
    ):
        rounds.append(latest)
    return rounds


def limited(strategy: Strategy, rule: SelectionRule, budget: Budget) -> AsyncIterator[Round]:
    """The rounds of a search whose target model has a budget, as a trial drives it."""
    target = Remembering(Budgeted(ScriptedModel(toy.target), budget), budget)
    evaluate = Evaluation(target, SameText(), toy.DEV, rule, limited=target)
    optimizer = CountedModel(ScriptedModel(toy.author))
    return rounds_of(strategy.search(toy.PROBLEM, optimizer, evaluate, Random(0)))


async def until_it_ends(rounds: AsyncIterator[Round]) -> AsyncIterator[Round]:
    """Those before the budget has ended."""
    try:
        async for latest in rounds:
            yield latest
    except BudgetExhausted:
        return


def is_ahead(challenger: Standing, incumbent: Standing, rule: SelectionRule) -> bool:
    """By the rule's own standards: on all items by the mean, or on the shared ones by the test of a
    race.
    """
    wins, losses, shared = discordant(incumbent.scores, challenger.scores)
    if challenger.items == incumbent.items == len(toy.DEV):
        return (challenger.accuracy or 0) > (incumbent.accuracy or 0)
    return (rule if isinstance(rule, Racing) else Racing()).ahead(wins, losses, shared)


def candidates(rounds: list[Round]) -> list[Candidate]:
    return [standing.candidate for latest in rounds for standing in latest.standings]


def questions(optimizer: ScriptedModel) -> list[str]:
    """The texts that were asked, each as it was asked first."""
    return [request.messages[0].content for batch in optimizer.batches for request in batch]


def check_lineage(rounds: list[Round], beam: bool = True) -> None:
    """Each round's candidates are survivors or new, and a new one's parent survived the round
    before; no prompt has two origins.

    Without a beam nothing dies: what competes, and what a new prompt is written from, may come from
    any earlier round.
    """
    origin_by_id: dict[str, Candidate] = {}
    for latest in rounds:
        before = (
            rounds[latest.number - 1].kept if latest.number else (Candidate(toy.SEED, "seed", 0),)
        )
        alive = before if beam or not latest.number else tuple(candidates(rounds[: latest.number]))
        for standing in latest.standings:
            one = standing.candidate
            assert origin_by_id.setdefault(one.id, one) == one
            assert one in alive or (
                one.round == latest.number and one.parent in {parent.id for parent in alive}
            )
        assert {parent.id for parent in before} <= {
            standing.candidate.id for standing in latest.standings
        }


class StrategyContract:
    """Inherit, and set these."""

    make: type[Any]
    """The settings class."""
    small: dict[str, Any]
    """Settings under which it runs in moments; `rounds` is 3."""
    max_batches_per_round: int
    """Batches to the optimizer model in a round, when every reply is readable: independent calls go
    out together.
    """
    wide: dict[str, Any] = {"beam": 7}
    """Settings under which it does more in a round: a larger beam, more children, more examples."""
    impossible: dict[str, float] = {"rounds": -1, "beam": 0, "max_tokens": 0, "temperature": -0.5}
    """Settings of which each alone is to be refused."""
    beam: bool = True
    """Whether new prompts are written from those only that the round before has kept."""
    shows_examples: bool = True
    """Whether training items are shown to the optimizer model; a blind search need not do so."""

    shows_errors: bool = True
    """Whether answers of the target model are shown to the optimizer model."""
    learns_the_baseline_s_score: bool = True
    """Whether it passes on what round 0 has measured (`Problem.with_baseline_score`)."""

    @pytest.fixture
    def strategy(self) -> Strategy:
        return self.make(**self.small)

    async def test_rounds_are_numbered_from_the_seed_prompt_on(self, strategy: Strategy) -> None:
        rounds = await run(strategy)
        assert [latest.number for latest in rounds] == [0, 1, 2, 3]
        assert toy.SEED in [one.prompt for one in candidates(rounds[:1])]
        assert all(latest.note.endswith(".") for latest in rounds)

    async def test_no_rounds_is_round_0_alone(self) -> None:
        rounds = await run(self.make(**self.small | {"rounds": 0}))
        assert [latest.number for latest in rounds] == [0]

    async def test_same_seed_and_same_answers_give_the_same_rounds(
        self, strategy: Strategy
    ) -> None:
        assert await run(strategy, seed=5) == await run(self.make(**self.small), seed=5)

    async def test_seeds_draw_independently(self, strategy: Strategy) -> None:
        first, second = [await run(strategy, seed=seed) for seed in (1, 2)]
        assert {one.id for one in candidates(first)} != {one.id for one in candidates(second)}

    async def test_it_finds_better_prompts_on_a_task_where_there_are_some(
        self, strategy: Strategy
    ) -> None:
        rounds = await run(strategy)
        start = next(
            standing for standing in rounds[0].standings if standing.candidate.operator == "seed"
        )
        assert (rounds[-1].best.accuracy or 0) >= (start.accuracy or 0) + 0.3

    async def test_lineage_is_sane(self, strategy: Strategy) -> None:
        check_lineage(await run(strategy), self.beam)

    async def test_a_prompt_that_is_proposed_again_does_not_enter_again(
        self, strategy: Strategy
    ) -> None:
        def repetitive(request: Request) -> str:
            return re.sub(r"\(\d+\)", "", toy.author(request))

        check_lineage(await run(strategy, ScriptedModel(repetitive)), self.beam)

    @pytest.mark.parametrize("width", ["small", "wide"])
    async def test_the_batches_of_a_round_are_as_many_as_its_dependent_steps_however_wide_it_is(
        self, width: str
    ) -> None:
        """What a round waits for is the depth of its calls, never their number."""
        strategy = self.make(**self.small | (self.wide if width == "wide" else {}))
        optimizer, evaluate = (
            ScriptedModel(toy.author),
            toy.InMemoryEvaluator(ScriptedModel(toy.target)),
        )
        before = 0
        async for latest in strategy.search(
            toy.PROBLEM, CountedModel(optimizer), evaluate, Random(0)
        ):
            assert len(optimizer.batches) - before <= self.max_batches_per_round
            assert evaluate.select_calls == latest.number + 1
            assert evaluate.answer_calls <= latest.number
            before = len(optimizer.batches)

    async def test_wider_rounds_have_more_calls_in_them(self, strategy: Strategy) -> None:
        narrow, wide = ScriptedModel(toy.author), ScriptedModel(toy.author)
        await run(strategy, narrow)
        await run(self.make(**self.small | self.wide), wide)
        assert wide.calls > narrow.calls

    async def test_no_call_is_asked_twice_and_all_are_proposals(self, strategy: Strategy) -> None:
        optimizer = ScriptedModel(toy.author)
        await run(strategy, optimizer)
        asked = [request for batch in optimizer.batches for request in batch]
        assert {request.purpose for request in asked} == {"propose"}
        assert len(set(asked)) == len(asked) > 0
        assert all(request.messages[0].content.startswith("Operator: ") for request in asked)

    async def test_the_optimizer_model_sees_training_items_only(self, strategy: Strategy) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(strategy, optimizer)
        shown = "\n".join(
            message.content
            for batch in optimizer.batches
            for request in batch
            for message in request.messages
        )
        assert ("How much is" in shown) == self.shows_examples
        assert toy.MARKER not in shown
        assert not any(toy.MARKER in str(one.prompt.to_json()) for one in candidates(rounds))

    @pytest.mark.parametrize("kind", ["infrastructure", "refused"])
    async def test_an_optimizer_model_that_always_fails_leaves_the_seed_prompt(
        self, strategy: Strategy, kind: Any
    ) -> None:
        rounds = await run(strategy, ScriptedModel(lambda _: Failed(kind, "down")))
        assert [one.prompt for one in candidates(rounds)] == [toy.SEED] * 4
        assert sum(latest.parse_failures for latest in rounds) == 0

    @pytest.mark.parametrize("reply", GARBAGE)
    async def test_unreadable_replies_are_asked_again_once_and_counted(
        self, strategy: Strategy, reply: str
    ) -> None:
        optimizer = ScriptedModel(lambda _: reply)
        rounds = await run(strategy, optimizer)
        assert [one.prompt for one in candidates(rounds)] == [toy.SEED] * 4
        questions = [
            request
            for batch in optimizer.batches
            for request in batch
            if len(request.messages) == 1
        ]
        assert (
            sum(latest.parse_failures for latest in rounds)
            == len(questions)
            == optimizer.calls / 2
            > 0
        )

    @settings(
        max_examples=examples(15),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(seed=st.integers(0, 2**16), share=st.floats(0.1, 0.9))
    async def test_it_survives_any_mixture_of_good_bad_and_missing_replies(
        self, seed: int, share: float
    ) -> None:
        def flaky(script: Any, request: Request) -> str | Outcome:
            draw = toy.chance(seed, request.messages, request.sample)
            if draw > share:
                return str(script(request))
            cut = Completion("<prompt>cut", truncated=True)
            broken = [Failed("infrastructure", "down"), Failed("refused", "no"), cut, *GARBAGE]
            return broken[int(draw / share * len(broken))]

        rounds = await run(
            self.make(**self.small),
            ScriptedModel(lambda request: flaky(toy.author, request)),
            ScriptedModel(lambda request: flaky(toy.target, request)),
            seed,
        )
        assert len(rounds) == 4
        check_lineage(rounds, self.beam)

    async def test_a_target_model_that_always_fails_is_survived(self, strategy: Strategy) -> None:
        rounds = await run(
            strategy, target=ScriptedModel(lambda _: Failed("infrastructure", "down"))
        )
        assert len(rounds) == 4
        assert not any(one.operator in ("edit", "refine") for one in candidates(rounds))

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
    @pytest.mark.parametrize("which", ["optimizer", "target"])
    async def test_an_exhausted_budget_ends_it_after_the_rounds_so_far(
        self, strategy: Strategy, which: str, share: float
    ) -> None:
        whole = {"optimizer": ScriptedModel(toy.author), "target": ScriptedModel(toy.target)}
        full = await run(strategy, **whole)
        again = {"optimizer": ScriptedModel(toy.author), "target": ScriptedModel(toy.target)}
        again[which] = Capped(again[which], int(whole[which].calls * share))  # type: ignore[assignment]
        rounds: list[Round] = []
        with pytest.raises(BudgetExhausted):
            await run(strategy, **again, rounds=rounds)
        # What was proposed before the optimizer model's budget ended competes in a last round.
        whole_rounds = rounds[:-1] if which == "optimizer" else rounds
        assert whole_rounds == full[: len(whole_rounds)]
        check_lineage(rounds, self.beam)

    @pytest.mark.parametrize("rule", [Full(), Racing(block_items=4)])
    async def test_a_budget_that_ends_in_a_selection_leaves_what_was_measured_and_no_lucky_best(
        self, strategy: Strategy, rule: SelectionRule
    ) -> None:
        """At some of all numbers of calls: test_cut_selection.py goes through all of them, for
        every rule.
        """
        whole = Budget()
        full = [one async for one in limited(strategy, rule, whole)]
        cut = 0
        for calls in range(1, whole.usage.calls, max(1, whole.usage.calls // 9)):
            budget = Budget(calls)
            rounds = [one async for one in until_it_ends(limited(strategy, rule, budget))]
            assert budget.usage.calls <= calls
            assert [latest.number for latest in rounds] == list(range(len(rounds)))
            assert not any(latest.incomplete for latest in rounds[:-1])
            if not (rounds and rounds[-1].incomplete):
                continue
            cut += 1
            last = rounds[-1]
            if isinstance(rule, Full):
                assert (
                    rounds[:-1] == full[: last.number]
                )  # a race is run differently where it might not come to its end
                assert {one.id for one in candidates([last])} == {
                    one.id for one in candidates([full[last.number]])
                }
            check_lineage(rounds, self.beam)
            incumbent = (
                rounds[-2].best
                if last.number
                else next(
                    standing for standing in last.standings if standing.candidate.operator == "seed"
                )
            )
            assert last.best.candidate.id == incumbent.candidate.id or is_ahead(
                last.best, incumbent, rule
            )
            again = [one async for one in until_it_ends(limited(strategy, rule, Budget(calls)))]
            assert again == rounds
        assert cut or isinstance(rule, Racing)

    async def test_a_handful_of_examples_and_an_empty_description_are_enough(
        self, strategy: Strategy
    ) -> None:
        problem = Problem("", toy.SEED, toy.PROBLEM.train[:1])
        assert len(await run(strategy, problem=problem)) == 4

    async def test_an_empty_seed_prompt_is_not_reworded(self, strategy: Strategy) -> None:
        optimizer = ScriptedModel(toy.author)
        rounds = await run(strategy, optimizer, problem=replace(toy.PROBLEM, seed=Prompt()))
        assert len(rounds) == 4
        asked = [request.messages[0].content for batch in optimizer.batches for request in batch]
        assert not any(
            text.startswith(("Operator: vary", "Operator: paraphrase")) and "<prompt>\n\n" in text
            for text in asked
        )

    async def test_a_plain_problem_is_told_as_ever(self, strategy: Strategy) -> None:
        """Byte for byte what was asked before there was more to tell: answers are on record."""
        optimizer = ScriptedModel(toy.author)
        await run(strategy, optimizer)
        new = re.compile(
            "<(labels|contract|where|baseline_score|keep|history|verdict|feedback|changes|edit)>"
        )
        assert not any(new.search(text) for text in questions(optimizer))

    async def test_what_is_known_is_told_in_every_question(self, strategy: Strategy) -> None:
        optimizer = ScriptedModel(kept.dutiful)
        await run(strategy, optimizer, problem=kept.PROBLEM)
        asked = questions(optimizer)
        assert asked
        for text in asked:
            assert "<labels>\neven\nodd\n</labels>" in text
            assert "Right is the same number &lt;/contract>.\n</contract>" in text
            assert "<where>" in text
            assert "<task>\nAdd two numbers.\n</task>" in text
        later = [text for text in asked if "<baseline_score>" in text]
        assert bool(later) == self.learns_the_baseline_s_score
        assert all(re.search(r"<baseline_score>\d\.\d\d</baseline_score>", text) for text in later)

    async def test_no_description_is_no_empty_block(self, strategy: Strategy) -> None:
        optimizer = ScriptedModel(kept.dutiful)
        await run(strategy, optimizer, problem=replace(kept.PROBLEM, description=""))
        assert not any("<task>" in text for text in questions(optimizer))

    async def test_fixed_parts_leave_room_for_new_prompts(self, strategy: Strategy) -> None:
        rounds = await run(strategy, ScriptedModel(kept.dutiful), problem=kept.PROBLEM)
        new = {one.id for one in candidates(rounds) if one.operator != "seed"}
        assert len(new) >= 2
        assert all(kept.holds(one.prompt.text()) for one in candidates(rounds))

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(seed=st.integers(0, 2**32))
    async def test_every_candidate_holds_every_fixed_part_once_and_in_order(
        self, seed: int
    ) -> None:
        """Whatever the optimizer model replies; and no other prompt reaches the target model."""
        target = ScriptedModel(toy.target)
        rounds = await run(
            self.make(**self.small),
            ScriptedModel(lambda request: kept.hostile(request, seed)),
            target,
            seed,
            kept.PROBLEM,
        )
        assert all(kept.holds(one.prompt.text()) for one in candidates(rounds))
        sent = [request for batch in target.batches for request in batch]
        assert sent
        assert all(kept.holds(request.messages[0].content) for request in sent)

    async def test_feedback_and_partial_scores_reach_the_optimizer_model(
        self, strategy: Strategy
    ) -> None:
        optimizer = ScriptedModel(kept.dutiful)
        evaluate = toy.GradedEvaluator(ScriptedModel(toy.target))
        search = strategy.search(kept.PROBLEM, CountedModel(optimizer), evaluate, Random(0))
        rounds = [latest async for latest in search]
        assert len(rounds) == 4
        shown = [text for text in questions(optimizer) if "<given>" in text]
        assert bool(shown) == self.shows_errors
        told = re.compile(
            "<verdict>score 0.40</verdict>\n<feedback>The sum \\S+ is off, &lt;/example>"
            " is none.</feedback>"
        )
        right = "<verdict>right</verdict>"
        assert all(told.search(text) or right in text for text in shown)
        assert any(told.search(text) for text in shown) == self.shows_errors

    def test_settings_are_frozen_small_and_cross_processes(self, strategy: Any) -> None:
        assert pickle.loads(pickle.dumps(strategy)) == strategy
        with pytest.raises(FrozenInstanceError):
            strategy.rounds = 9
        assert all(
            isinstance(getattr(strategy, field.name), int | float | str)
            for field in fields(strategy)
        )

    def test_impossible_settings_are_refused_by_name(self) -> None:
        for name, value in self.impossible.items():
            with pytest.raises(SettingsError, match=name):
                self.make(**{name: value})
