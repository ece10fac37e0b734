"""A whole trial of every strategy on a task of which a third is hostile, with models that echo it:
the other items' scores are what they are without it, the run ends, and its results are written,
read back and shown without anything of theirs being obeyed.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.results.folder import read_trials, write_results, write_trial
from cluster.trial.plan import TrialPlan
from cluster.trial.trial import Trial
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import grader_named
from optimizer.questions.template import escape
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full
from optimizer.strategies import STRATEGIES
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Outcome, Request, Sampling
from serving.settings import parse_model
from tests.contracts import hostile, toy
from tests.unit.hostile.test_showing import check_page

SMALL = {"rounds": 2}
SMALL_BY_NAME = {"opro": SMALL | {"samples": 4}, "prompt_agent": SMALL | {"expand_width": 2}}
PLANTED = "planted-by-data "
EVIL = (*hostile.ALL, *(f"{text} {hostile.OUR_TAGS}" for text in hostile.SHORT))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    clean = [
        {"input": f"How much is {number} + 3? Clean.", "target": str(number + 3)}
        for number in range(60)
    ]
    evil = [
        {"input": f"{PLANTED}{number} {text}", "target": text[:500]}
        for number, text in enumerate(EVIL[:30])
    ]
    file = tmp_path / "hostile.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (*clean, *evil)))
    return load_task(str(file), sizes=Sizes(30, 30, 30), seed=3, scorer="exact")


def is_clean(text: str) -> bool:
    return text.startswith("How much") and text.endswith("Clean.")


def target(request: Request) -> Outcome:
    """The toy target on clean items; what it was asked, and hostile text, on the others."""
    question = request.messages[-1].content
    if is_clean(question):
        return Completion(toy.target(request))
    number = len(question) % len(hostile.ALL)
    return Completion(f"{question}\n{hostile.ALL[number]}\nAnswer: {hostile.ALL[number]}")


def author(request: Request) -> str:
    """The toy optimizer model, with hostile text before its reply, and inside it."""
    number = request.sample % len(EVIL)
    reply = toy.author(request)
    if number % 3 == 0:
        return f"{EVIL[number]}\n{reply}"
    if number % 3 == 1:
        return reply.replace("It never says", f"{PLANTED}{escape(EVIL[number][:900])}").replace(
            "<prompt>", f"<prompt>{PLANTED}{escape(EVIL[number][:900])} "
        )
    return EVIL[number]


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
async def test_hostile_items_change_nothing_but_their_own_score(
    name: str, task: Task, tmp_path: Path
) -> None:
    model = parse_model("openai:tiny@http://127.0.0.1:1/v1")
    plan = TrialPlan(
        id=f"hostile-{name}",
        task="hostile",
        strategy=STRATEGIES[name](**SMALL_BY_NAME.get(name, SMALL)),
        strategy_label=name,
        selection=Full(),
        selection_label="full",
        seed=0,
        target=model,
        optimizer=model,
        sampling=Sampling(),
    )
    result = await Trial(plan, task, ScriptedModel(target), ScriptedModel(author)).run()
    assert result.status == "finished"
    assert (
        len({standing.candidate.id for latest in result.rounds for standing in latest.standings})
        > 1
    )

    places = [place for place, example in enumerate(task.dev) if is_clean(example.input)]
    assert 0 < len(places) < len(task.dev)
    alone = Evaluation(ScriptedModel(target), grader_named("exact"), (), Full())
    for standing in (standing for latest in result.rounds for standing in latest.standings):
        answers = await alone.grade(
            standing.candidate.prompt, [task.dev[place] for place in places]
        )
        assert [answer.score.value for answer in answers] == [
            standing.scores[place] for place in places
        ]

    write_trial(tmp_path, result)
    write_results(tmp_path, [result], {"task": PLANTED + hostile.SCRIPT})
    assert read_trials(tmp_path) == [result]
    assert pq.read_table(tmp_path / "trials.parquet").num_rows == 1
    assert pq.read_table(tmp_path / "candidates.parquet").num_rows > 1
    assert (tmp_path / "best" / f"hostile-{name}.md").read_bytes().decode()
    check_page((tmp_path / "report.html").read_bytes().decode(), PLANTED)
