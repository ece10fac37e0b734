"""An evaluation goes through the same controller as a search: queued, run, cancelled, resumed, and
known again after a restart.
"""

from dataclasses import replace
from pathlib import Path

from cluster.evaluation.context import Spending
from cluster.evaluation.summary import Evaluated, comparisons, summaries
from cluster.service.core.job_record import Filed
from cluster.service.core.settings import QuotaSettings
from cluster.service.core.worker_pool import Outcome, Work
from cluster.service.jobs.run_updates import EvaluationReporter
from cluster.service.schemas import Evaluation, EvaluationRequest
from optimizer.budget.call_budget import Usage
from tests.unit.cluster.service.running_controller import (
    FREE,
    WorkerPool,
    kinds,
    over,
    running_controller,
    until,
)

REQUEST = EvaluationRequest.model_validate(
    {"prompts": [{"text": "a"}, {"text": "b"}], "file": "file-1", "min": 0.5}
)
SCORES = {"a": [0.0, 0.0], "b": [1.0, None]}


def filed(id: str) -> Filed:
    return Filed(id, 0, "ann", 1, REQUEST)


def found() -> Evaluated:
    return Evaluated(
        data="data",
        target="m",
        grader="exact",
        items=2,
        prompts=summaries(SCORES, {"a": {}, "b": {}}, 0.5),  # type: ignore[dict-item]
        comparisons=comparisons(SCORES),
        least_score=0.5,
        complete=True,
        ended="",
        calls=4,
        cached=0,
        money=None,
    )


async def evaluated(pool: WorkerPool, work: Work) -> Outcome:
    reporter = EvaluationReporter(lambda update: pool.tell(work, update))
    reporter.phase("Starting Ray")
    for answers in range(1, 41):
        reporter.answered(answers, 40)
    spent = {"target": Usage(calls=4, ledger_hits=1), "grader": Usage(calls=2)}
    reporter.spent(Spending(spent, 0.5))  # type: ignore[arg-type]
    reporter.scored(found())
    return Outcome("ended", message=found().sentence)


async def test_it_runs_and_is_known_again(tmp_path: Path) -> None:
    async with running_controller(tmp_path, evaluated) as (controller, _):
        job = await controller.create(filed("eval-1"), FREE)
        assert (job.object, job.status) == ("evaluation", "queued")
        await over(controller, "eval-1")
        done = controller.get("eval-1")
        assert controller.use("ann")["calls_today"] == 5
    assert isinstance(done, Evaluation)
    assert (done.answers, done.answers_wanted, done.passed) == (40, 40, False)
    assert [(one.prompt, one.mean, one.missing) for one in done.scores] == [
        ("a", 0.0, 0),
        ("b", 1.0, 1),
    ]
    usage = done.usage
    assert (usage.target_calls, usage.grader_calls, usage.ledger_hits) == (4, 2, 1)
    assert (usage.money, usage.calls_by_purpose) == (0.5, {"validate": 4, "grade": 2})
    phases = [kind for kind in kinds(tmp_path, "eval-1") if kind == "job.phase"]
    assert len(phases) == 21
    async with running_controller(tmp_path, evaluated) as (controller, _):
        again = controller.get("eval-1")
        assert again == done


async def until_stopped(pool: WorkerPool, work: Work) -> Outcome:
    EvaluationReporter(lambda update: pool.tell(work, update)).answered(3, 40)
    await pool.stopped[work.filed.id].wait()
    return Outcome("stopped") if work.run == 1 else await evaluated(pool, work)


async def test_it_is_cancelled_and_resumed(tmp_path: Path) -> None:
    async with running_controller(tmp_path, until_stopped) as (controller, pool):
        await controller.create(filed("eval-1"), FREE)
        await until(lambda: bool(pool.running))
        assert (await controller.cancel("eval-1")).status == "cancelling"
        await over(controller, "eval-1", "cancelled")
        assert (await controller.resume("eval-1", FREE)).status == "queued"
        await until(lambda: bool(pool.running))
        await pool.stop("eval-1")
        await over(controller, "eval-1")
    assert kinds(tmp_path, "eval-1")[-1] == "job.succeeded"


async def test_what_a_run_has_scored_is_not_the_next_ones(tmp_path: Path) -> None:
    async def fails(pool: WorkerPool, work: Work) -> Outcome:
        await evaluated(pool, work)
        return Outcome("failed", code="QuotaExhausted", message="Your quota is used up.")

    async with running_controller(tmp_path, fails) as (controller, pool):
        await controller.create(filed("eval-1"), QuotaSettings(jobs_at_once=1))
        await over(controller, "eval-1", "failed")
        pool._play = until_stopped
        await controller.resume("eval-1", FREE)
        await until(lambda: bool(pool.running))
        job = controller.get("eval-1")
        assert isinstance(job, Evaluation)
        assert (job.scores, job.passed) == ([], None)
        await pool.stop("eval-1")
        await over(controller, "eval-1")


def test_its_sentence_says_what_is_below_and_what_is_missing() -> None:
    assert found().sentence == "Mean scores: a 0.000, b 1.000. The least score is not reached."
    cut = replace(found(), least_score=None, complete=False, ended="The budget is spent.")
    assert cut.sentence == "Mean scores: a 0.000, b 1.000. It is not complete: The budget is spent."
