"""How much of a gain is form alone: a trial whose target is right about every item, and unreadable
without the answer line.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random

import pytest

from cluster.analysis.comparisons import comparisons
from cluster.analysis.pairwise import ANSWER_LINE
from cluster.config.budget import Allowed
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of, trial_specs
from cluster.experiment.prepare import course_of
from cluster.results import form_lines, leader_lines
from cluster.results.markdown import best_prompt_page
from cluster.results.page import report_page
from cluster.results.tables import trials_table
from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.candidate import Candidate, Problem, Round
from optimizer.graders.graders import grader_named, with_answer_line
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator, LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example, Request, Sampling
from serving.settings import parse_model
from tests.unit.cluster.results.test_table import printed

MODEL = parse_model("openai:tiny@http://127.0.0.1:1/v1")
UNREAD = "Some say {0}, others 1{0}."
FOUND = "Name the number. End with a line of the form Answer: the number."


@dataclass(frozen=True)
class TriesOne:
    """A search that tries one instruction."""

    instruction: str = FOUND

    async def search(
        self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        seed = Candidate(problem.seed, "seed", 0)
        yield Round(0, await evaluate.select([seed], 1, rng))
        child = Candidate(Prompt(self.instruction), "vary", 1, seed.id)
        yield Round(1, await evaluate.select([seed, child], 1, rng))


PLAN = TrialPlan(
    id="counting-one-s0",
    task="counting",
    strategy=TriesOne(),
    strategy_label="one",
    selection=Full(),
    selection_label="full",
    seed=0,
    target=MODEL,
    optimizer=MODEL,
    sampling=Sampling(),
)


@pytest.fixture
def task() -> Task:
    return load_task("object_counting", sizes=Sizes(4, 6, 12), seed=0)


def knowing(task: Task, unread: str = UNREAD, hints: str = "") -> ScriptedModel:
    """Knows every answer; writes it as it can be read where its prompt says how to.

    With `hints`, it knows only there.
    """
    answer_by_input = {
        example.input: example.answers[0]
        for example in (*task.train, *task.dev, *task.test.single_reading().read())
    }

    def script(request: Request) -> str:
        told, right = request.messages[0].content, answer_by_input[request.messages[-1].content]
        known = right if hints in told else "1000"
        return f"Answer: {known}" if "Answer:" in told else unread.format(known)

    return ScriptedModel(script, "target")


async def run(plan: TrialPlan, task: Task, target: ScriptedModel) -> TrialResult:
    return await Trial(plan, task, target, ScriptedModel(lambda _: "", "optimizer")).run()


async def test_a_gain_that_comes_with_the_answer_line_alone_is_no_credit_of_the_search(
    task: Task,
) -> None:
    result = await run(PLAN, task, knowing(task))
    assert (result.seed_prompt_test_accuracy, result.test_accuracy) == (0.0, 1.0)
    told = "Of the gain of +1.00 of the prompts of one on counting over the baseline, +1.00 ["
    (line,) = [line for line in form_lines([result]) if line.startswith(told)]
    assert (
        "comes with the answer line alone; the rest, 0.00 [-0.20, 0.20], p = 1.000, is not "
        "significant" in line
    )
    assert "the baselines with the answer line on counting" in leader_lines([result])[0]
    assert any("better†" in row for row in printed([result]))
    assert line in report_page([result], {})
    assert "+1.00 [0.59, 1.00] comes with the answer line alone" in best_prompt_page(result)
    (row,) = trials_table([result]).to_pylist()
    assert (
        row["form_control"],
        row["form_control_test_accuracy"],
        row["form_control_test_marks"],
    ) == ("measured", 1.0, "1" * 12)
    assert (row["form_control_verdict"], row["corrected_form_control_verdict"]) == (
        "not distinguishable",
    ) * 2
    assert TrialResult.from_json(result.to_json()) == result


async def test_what_the_search_found_beyond_form_is_told(task: Task) -> None:
    result = await run(PLAN, task, knowing(task, hints="Name the number"))
    (line,) = form_lines([result])
    assert (
        ", 0.00 [-0.20, 0.20] comes with the answer line alone; the rest, +1.00 [0.59, 1.00], p = "
        "0.001, is what" in line
    )
    assert not any("†" in row for row in printed([result]))


async def test_the_control_asks_the_test_items_once_more_and_its_statements_are_corrected_for(
    task: Task,
) -> None:
    target = knowing(task)
    result = await run(PLAN, task, target)
    assert result.calls_by_purpose == {"validate": 2 * 6, "test": 3 * 12}
    line = with_answer_line(result.seed_prompt, task.grader.build())
    assert line is not None
    asked = [request.messages[0].content for request in target.batches[-1]]
    assert asked == [line.text()] * 12
    assert result.seed_prompt.text() in asked[0]
    assert {(one.first, one.second, one.family) for one in comparisons([result])} == {
        ("one", ANSWER_LINE, 3),
        ("one", "baseline", 3),
        (ANSWER_LINE, "baseline", 3),
    }


@pytest.mark.parametrize(
    ("changes", "unread", "state"),
    [
        ({"form_control": False}, UNREAD, "off"),
        ({"strategy": TriesOne("Say nothing.")}, UNREAD, "best is baseline"),
        ({}, "Answer: 1{}", "not needed"),
    ],
)
async def test_it_is_left_out_where_it_can_tell_nothing(
    task: Task, changes: dict[str, object], unread: str, state: str
) -> None:
    result = await run(replace(PLAN, **changes), task, knowing(task, unread))  # type: ignore[arg-type]
    assert (result.form_control, result.form_control_test_marks) == (state, "")
    assert result.calls_by_purpose["test"] == 12 * (
        1 if state == "best is baseline" else 2
    )  # a repeat is no call


async def test_a_seed_prompt_that_says_how_to_end_needs_none() -> None:
    told = load_task(
        "object_counting",
        sizes=Sizes(4, 6, 12),
        seed=0,
        seed_instruction="Write 'Answer: ' and a guess.",
    )
    result = await run(PLAN, told, knowing(told, hints="Name the number"))
    assert (result.verdict, result.form_control) == ("better", "line in baseline")


@pytest.mark.parametrize(
    ("limit", "state", "rounds"), [(48, "measured", 2), (47, "no budget", 2), (144, "measured", 2)]
)
async def test_a_search_loses_at_most_a_tenth_of_its_budget_to_the_control(
    task: Task, limit: int, state: str, rounds: int
) -> None:
    """Two prompts take 24 calls of the test and 12 of the search: 12 more are left of 48."""
    result = await run(replace(PLAN, allowed=Allowed(target_calls=limit)), task, knowing(task))
    assert (result.form_control, len(result.rounds)) == (state, rounds)
    assert result.target_calls <= limit
    assert (result.verdict, result.test_items) == ("better", 12)
    assert any(
        "was not measured, as the budget was too small" in line for line in form_lines([result])
    ) == (state == "no budget")


async def test_a_best_prompt_that_is_the_baseline_is_called_so(task: Task) -> None:
    result = await run(replace(PLAN, strategy=TriesOne("Say nothing.")), task, knowing(task))
    assert (result.verdict, result.p_value, result.best_is_baseline) == ("", None, True)
    told = "is the baseline itself: no candidate was better on dev"
    assert form_lines([result]) == [f"The best prompt of one on counting {told}."]
    assert leader_lines([result]) == []
    page = report_page([result], {})
    for text in (best_prompt_page(result), page, "\n".join(printed([result]))):
        assert "the baseline itself" in text
        assert "distinguishable" not in text
        assert (
            "no significant difference"
            not in text.replace("Plain: no significant difference", "").lower()
        )
    old = replace(result, verdict="not distinguishable", p_value=1.0)  # as older versions wrote it
    assert "the baseline itself" in "\n".join(printed([old]))
    assert comparisons([old]) == ()
    (row,) = trials_table([result]).to_pylist()
    assert (row["verdict"], row["best_is_baseline"]) == (None, True)


@pytest.mark.parametrize(
    ("scorer", "example", "response", "at_fault"),
    [
        ("exact", Example("1", "?", ("Paris",)), "<result>Paris</result>", True),
        ("exact", Example("1", "?", ("Paris",)), "Answer: The capital is Paris", True),
        ("exact", Example("1", "?", ("Paris",)), "Answer: Rome", False),
        ("exact", Example("1", "?", ("Paris",)), "Answer: Paris", False),
        ("exact", Example("1", "?", ("Paris",)), "", True),
        ("number", Example("1", "?", ("7",)), "Answer: 8", False),
        ("number", Example("1", "?", ("7",)), "I saw 3, then 8, so there are some.", True),
        ("choice", Example("1", "?", ("yes",), ("yes", "no")), "Answer: no", False),
        ("choice", Example("1", "?", ("yes",), ("yes", "no")), "It depends.", True),
        ("regex", Example("1", "?", (r"\d+ km",)), "Answer: 5 miles", False),
        ("regex", Example("1", "?", (r"\d+ km",)), "That would be some way.", True),
    ],
)
def test_a_wrong_answer_in_the_right_form_is_not_wrong_for_its_form(
    scorer: str, example: Example, response: str, at_fault: bool
) -> None:
    assert grader_named(scorer).form_is_at_fault(Completion(response), example) is at_fault
    assert (
        grader_named(scorer).form_is_at_fault(Completion(response, truncated=True), example)
        is at_fault
    )


async def test_a_result_of_an_older_version_opens_and_has_no_control(task: Task) -> None:
    data = (await run(PLAN, task, knowing(task))).to_json()
    old = TrialResult.from_json(
        {name: value for name, value in data.items() if not name.startswith("form_control")}
    )
    assert (old.form_control, old.form_control_test_marks, old.form_control_p_value) == (
        "",
        "",
        None,
    )
    assert {(one.first, one.second) for one in comparisons([old])} == {("one", "baseline")}
    assert form_lines([old]) == []


def test_it_is_on_unless_the_settings_turn_it_off_and_leaves_the_course_alone() -> None:
    on, off = (
        ExperimentSettings.model_validate({"tasks": ["navigate"], "strategies": ["apo"], **changes})
        for changes in ({}, {"form_control": False})
    )
    assert [plan_of(one, trial_specs(one)[0]).form_control for one in (on, off)] == [True, False]
    assert course_of(on) == course_of(off)
