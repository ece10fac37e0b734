"""A target or an optimizer model of which nothing can be used, in a whole trial: that ends with a
verdict and one warning.
"""

from dataclasses import replace

import pytest

from cluster.config.budget import Allowed
from cluster.results import answer_warnings
from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full, Racing
from optimizer.strategies import STRATEGIES
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Completion, Failed, Outcome, Sampling
from serving.settings import parse_model
from tests.contracts import toy

REMOTE = parse_model({"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"})
PLAN = TrialPlan(
    id="t",
    task="counting",
    strategy=STRATEGIES["apo"](rounds=1),
    strategy_label="apo",
    selection=Racing(),
    selection_label="racing",
    seed=0,
    target=REMOTE,
    optimizer=REMOTE,
    sampling=Sampling(max_tokens=32),
    allowed=Allowed(target_calls=2000, optimizer_calls=200),
)


async def ended(
    plan: TrialPlan, answer: str | Outcome, reply: str | Outcome | None = None
) -> TrialResult:
    task = load_task("object_counting", sizes=Sizes(6, 8, 12), seed=0)
    optimizer = ScriptedModel(toy.author if reply is None else lambda _: reply)
    return await Trial(plan, task, ScriptedModel(lambda _: answer), optimizer).run()


@pytest.mark.parametrize(
    "plan", [PLAN, replace(PLAN, selection=Full(), strategy=STRATEGIES["abo"](rounds=1))]
)
@pytest.mark.parametrize(
    ("answer", "verdict", "says"),
    [
        (
            Completion("I see an apple and", truncated=True),
            "truncated",
            "100% of the target's answers were cut off at max_tokens 32",
        ),
        (
            Completion("", truncated=True),
            "truncated",
            "100% of the target's answers were cut off at max_tokens 32",
        ),
        (Failed("refused", "I will not."), "refused", "100% of the target's answers were refusals"),
        ("", "unparsable", "100% of the target's answers were empty (the content has no text)"),
        ("I do not know.", "unparsable", "100% of the target's answers could not be parsed"),
    ],
)
async def test_a_target_that_never_answers(
    plan: TrialPlan, answer: str | Outcome, verdict: str, says: str
) -> None:
    result = await ended(plan, answer)
    assert result.status in ("finished", "budget")
    assert (result.seed_prompt_test_accuracy, result.test_accuracy) == (0.0, 0.0)
    assert (result.best_is_baseline, result.verdict, result.p_value) == (True, "", None)
    assert {kind for counts in result.verdicts_by_purpose.values() for kind in counts} == {verdict}
    (warning,) = answer_warnings([result])
    assert says in warning


async def test_a_target_whose_calls_all_fail_has_no_accuracy_and_no_verdict_in_its_favour() -> None:
    result = await ended(PLAN, Failed("infrastructure", "down"))
    assert (result.test_accuracy, result.test_items) == (None, 0)
    assert (result.verdict, result.p_value) == ("", None)
    assert result.status == "failed"
    assert (
        "nothing could be measured: none of the 12 answers of the final test under the baseline "
        "came (down)" in result.error
    )
    (of_answers,) = answer_warnings([result])
    assert "100% of the target's answers never came" in of_answers


async def test_an_optimizer_model_whose_calls_all_fail_is_no_search_and_pays_for_no_test() -> None:
    result = await ended(
        PLAN, "Answer: 3", Failed("infrastructure", "http://x answered 422: seed: Extra inputs.")
    )
    assert (result.status, result.verdict, result.test_accuracy) == ("failed", "", None)
    assert (
        "none of the 6 replies of the optimizer model openai:m came (http://x answered 422: seed: "
        "Extra inputs)" in result.error
    )
    assert "test" not in result.calls_by_purpose


async def test_what_brought_nothing_is_told_once_for_each_reason_with_its_count() -> None:
    """Of a whole trial, by what the models said: numbers and ids apart, which differ from call to
    call.
    """
    replies = iter(range(10**6))

    def answer(_: object) -> Outcome:
        number = next(replies)
        if number % 3:
            return Completion("Answer: 3")
        return Failed("refused", f"Request req-{number}a was flagged.\x1b[31m" + "x" * 900)

    task = load_task("object_counting", sizes=Sizes(6, 8, 12), seed=0)
    result = await Trial(PLAN, task, ScriptedModel(answer), ScriptedModel(toy.author)).run()
    (failure,) = result.failures
    refused = sum(counts.get("refused", 0) for counts in result.verdicts_by_purpose.values())
    assert (failure.model, failure.kind, failure.calls) == ("target", "refused", refused)
    assert failure.reason.startswith("Request req-0a was flagged.\\x1b[31m")
    assert len(failure.reason) < 500
    assert TrialResult.from_json(result.to_json()) == result
    old = {name: value for name, value in result.to_json().items() if name != "failures"}
    assert TrialResult.from_json(old).failures == ()


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Failed("refused", "I write no prompts."), "refused", "another optimizer model may answer"),
        ("", "empty", "another optimizer model may answer"),
        ("Certainly!", "unreadable", "keeps to the requested form"),
        (Completion("<prompt>", truncated=True), "truncated", "raise the strategy's max_tokens"),
    ],
)
async def test_an_optimizer_model_of_no_use_leaves_the_seed_prompt(
    reply: str | Outcome, kind: str, says: str
) -> None:
    result = await ended(PLAN, "Answer: 3", reply)
    assert result.status == "finished"
    assert result.best is not None
    assert result.best.prompt == result.seed_prompt
    asked = result.replies_by_attempt["first"][kind]
    assert result.replies_by_attempt == {"first": {kind: asked}} | (
        {} if kind == "refused" else {"again": {kind: asked}}
    )
    warning, *by_strategy = answer_warnings([result])
    assert f"100% of the requests to openai:m returned nothing usable ({asked} {kind})" in warning
    assert says in warning
    # A model that refuses has given no proposal that a strategy could refuse.
    assert ["could not use" in one for one in by_strategy] == [True] * (kind != "refused")


async def test_an_endpoints_own_limit_is_the_one_that_is_told() -> None:
    own = parse_model(
        {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "max_tokens": 4000}
    )
    assert (await ended(replace(PLAN, target=own), "Answer: 3")).max_tokens == 4000
