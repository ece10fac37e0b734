"""What every grader keeps, whatever its kind: inherit the suite, and say how to make one."""

import json
import pickle
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.config.grader import check_grader
from optimizer.grader import Grader
from optimizer.graders.base import grade_outcomes
from optimizer.graders.graders import GraderSpec
from optimizer.types import Completion, Example, Failed, Score
from tests.contracts import hostile
from tests.contracts.examples import examples

VALUES = ("right", "partial", "wrong", "unparsable", "truncated", "refused", "missing")
HUGE = (
    "1" * 200_000,
    "answer " * 40_000,
    "Answer: " + "[" * 100_000,
    '{"a":' * 40_000,
    '{"a": [1, 2, ' * 20_000,
    "```json\n" * 30_000,
    "<answer>" * 30_000,
    "\ud800 Answer: \udfff {" + '"k\ud800": 1}',
    "a b " * 50_000,
)
FAST = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))


class GraderContract:
    """Set `spec`, `examples` and `gold`; the tests take them from there."""

    spec: GraderSpec
    examples: Sequence[Example] = (Example("1", "?", ("12",)), Example("2", "?", ("7",)))
    gold: Sequence[str] = ("Answer: 12", "Answer: 7")
    """A response to each example that has the full score."""
    wrong = "Answer: nothing of the kind, qqq"
    """A response that has less to all of them."""

    def grader(self) -> Grader:
        return self.spec.build()

    async def one(self, text: str, truncated: bool = False) -> Score:
        (score,) = await self.grader().grade([(Completion(text, truncated), self.examples[0])])
        return score

    async def test_the_gold_answer_scores_one(self) -> None:
        scores = await self.grader().grade(
            [(Completion(text), one) for text, one in zip(self.gold, self.examples, strict=True)]
        )
        assert [(score.verdict, score.value) for score in scores] == [("right", 1.0)] * len(
            self.gold
        )

    async def test_another_answer_scores_less(self) -> None:
        value = (await self.one(self.wrong)).value
        assert value is not None
        assert value < 1.0

    async def test_scores_are_in_the_order_of_the_batch(self) -> None:
        texts = [self.gold[0], self.wrong, "", self.gold[0], self.wrong]
        together = await self.grader().grade(
            [(Completion(text), self.examples[0]) for text in texts]
        )
        assert together == [await self.one(text) for text in texts]

    async def test_no_answers_are_no_scores(self) -> None:
        assert await self.grader().grade([]) == []

    @FAST
    @given(text=st.text(max_size=400), truncated=st.booleans())
    async def test_no_response_raises_and_every_value_is_in_range(
        self, text: str, truncated: bool
    ) -> None:
        for response in (text, f"Answer: {text}", f"```json\n{text}\n```", json.dumps({"a": text})):
            score = await self.one(response, truncated)
            assert score.verdict in VALUES
            assert score.value is not None
            assert 0.0 <= score.value <= 1.0
            assert (score.verdict == "right") == (score.value == 1.0)

    async def test_hostile_and_huge_responses_get_a_score_soon(self) -> None:
        for text in (*hostile.ALL, *HUGE):
            score = await self.one(text)
            assert score.value is not None
            assert len(score.answer) <= 20_000
            assert len(score.feedback) <= 4_000

    async def test_the_same_response_gets_the_same_score(self) -> None:
        assert await self.one(self.wrong) == await self.one(self.wrong)

    async def test_what_did_not_come_stays_missing(self) -> None:
        outcomes = [
            Failed("infrastructure", "gone"),
            Failed("refused", "no"),
            Completion(self.gold[0]),
        ]
        scores = await grade_outcomes(
            self.grader(), [(outcome, self.examples[0]) for outcome in outcomes]
        )
        assert [score.value for score in scores] == [None, 0.0, 1.0]

    def test_its_settings_are_plain_data_that_any_process_builds_it_from(self) -> None:
        check_grader(self.spec)
        assert pickle.loads(pickle.dumps(self.spec)) == self.spec
        again = json.loads(json.dumps(self.spec.to_json()))
        assert (again if isinstance(again, str) else again["kind"]) == self.spec.name
        assert self.grader().accepts
        assert isinstance(self.grader().answer_line, str)

    async def test_form_is_never_at_fault_where_the_answer_is_right(self) -> None:
        assert not self.grader().form_is_at_fault(Completion(self.gold[0]), self.examples[0])
