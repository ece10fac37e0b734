"""What a request for an evaluation may name: uploads by id, offered models by label, graders of the
list, and nothing of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.job_record import DamagedJob, Filed, State, job_answer
from cluster.service.core.settings import RequestLimits, ServiceSettings
from cluster.service.jobs.evaluation_mapping import checked_questions, evaluation_settings
from cluster.service.jobs.request_mapping import admit
from cluster.service.schemas import Evaluation, EvaluationRequest, Optimization
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, PromptrayError, SettingsError
from optimizer.prompt import Demonstration, Prompt
from serving.settings.validation import sentence
from serving.storage import open_folder

MODEL = {
    "kind": "openai",
    "model": "gpt",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key_env": "SECRET_KEY",
}
ANN, BOB = Principal("ann"), Principal("bob")
FILE = "file-1"
JUDGE = {"kind": "score_model", "rubric": "Is it right?", "model": "openai:gpt"}


@pytest.fixture
def service(tmp_path: Path) -> ServiceSettings:
    folder = tmp_path / "files" / FILE
    folder.mkdir(parents=True)
    (folder / "file.json").write_text(json.dumps({"owner": "ann", "filename": "my tickets.jsonl"}))
    rows = [{"text": f"{number} + 1?", "label": number + 1} for number in range(4)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ServiceSettings(storage=str(tmp_path), models=["builtin:target", MODEL])


def given(**changes: Any) -> dict[str, Any]:
    return {
        "prompts": [{"text": "Add."}, {"label": "other", "text": "Sum up."}],
        "file": FILE,
        "columns": {"input": "text", "target": "label"},
        "target": "openai:gpt",
    } | changes


def asked(**changes: Any) -> EvaluationRequest:
    return EvaluationRequest.model_validate(given(**changes))


def test_it_becomes_the_settings_of_promptray_evaluate(service: ServiceSettings) -> None:
    out = open_folder(Path(service.storage) / "out")
    request = asked(grader=JUDGE, min=0.5, budget={"target_calls": 9}, sampling={"max_tokens": 7})
    admit(request, service)
    settings = evaluation_settings(request, service, out)
    assert [spec.label for spec in settings.prompts] == ["prompt", "other"]
    assert settings.prompts[0].build() == Prompt("Add.")
    assert (settings.task.file_name, settings.task.title) == ("my tickets.jsonl", "my-tickets")
    assert (settings.least_score, settings.budget.target_calls) == (0.5, 9)
    assert settings.target_model.label == "openai:gpt"
    assert settings.sampling.max_tokens == 7
    (target, _), (judge, _) = checked_questions(request, service, out.place, ANN)
    assert (target.label, judge.label) == ("openai:gpt", "openai:gpt")
    assert not (Path(service.storage) / "out").exists(), "nothing was written"


def test_worked_examples_of_a_prompt_are_kept(service: ServiceSettings) -> None:
    prompt = Prompt("Add.", demonstrations=(Demonstration("1 + 1?", "Answer: 2"),))
    out = open_folder(Path(service.storage) / "out")
    settings = evaluation_settings(asked(prompts=[{"prompt": prompt.to_json()}]), service, out)
    assert settings.prompts[0].build() == prompt


def refused(service: ServiceSettings, **changes: Any) -> str:
    """The one sentence of whoever refuses it, as the service does."""

    def admitted() -> None:
        request = asked(**changes)
        admit(request, service)
        checked_questions(request, service, str(Path(service.storage) / "out"), ANN)

    with pytest.raises((PromptrayError, ValidationError)) as caught:
        admitted()
    problem = caught.value
    said = sentence(problem) if isinstance(problem, ValidationError) else str(problem)
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"file": "/etc/passwd"}, "There is no file '/etc/passwd'"),
        ({"file": "file-../../etc"}, "There is no file"),
        ({"file": "s3://bucket/x.jsonl"}, "There is no file"),
        ({"file": "file-2"}, "There is no file 'file-2'"),
        ({"target": "openai:other@http://10.0.0.1/v1"}, "no model of this service called"),
        ({"target": "scripted:/etc/passwd"}, "no model of this service called"),
        ({"target": MODEL}, "target"),
        ({"target": "python:os:abort"}, "no model of this service called"),
        ({"grader": "os:abort"}, "no scorer called 'os:abort'"),
        ({"grader": {"kind": "python", "function": "os:abort"}}, "function of its own"),
        ({"grader": JUDGE | {"model": "openai:own@http://10.0.0.1/v1"}}, "no model of this"),
        ({"grader": JUDGE | {"model": MODEL}}, "no model of this service"),
        ({"grader": {"kind": "score_model", "rubric": "Is it?"}}, "names none: give it one"),
        ({"prompts": []}, "prompts"),
        ({"prompts": [{"text": "x"}] * 33}, "prompts"),
        ({"prompts": [{}]}, "give one of them, not none"),
        ({"prompts": [{"text": "x", "job": "opt-1"}]}, "give one of them, not text and job"),
        ({"prompts": [{"text": "x", "trial": "t"}]}, "trial and task name a part of a job"),
        ({"prompts": [{"job": "opt-1", "trial": "t", "task": "u"}]}, "trial or of a task"),
        ({"prompts": [{"text": "x" * 200_001}]}, "200,000 are the most"),
        ({"prompts": [{"prompt": {"instruction": 7, "steps": {}}}]}, "prompt"),
        ({"prompts": [{"file": "/etc/passwd"}]}, "file"),
        ({"name": "../x"}, "name"),
        ({"name": ".x"}, "does not begin with a dot"),
        ({"out": "/tmp/x"}, "out"),
        ({"code": ["/tmp/x.py"]}, "code"),
        ({"min": 1.5}, "min"),
        ({"budget": {"wall_s": 3}}, "no setting called 'wall_s'"),
        ({"columns": {"input": "missing", "target": "label"}}, "missing"),
        ({"columns": {"input": "{{text}", "target": "label"}}, "text"),
        ({"metadata": {"a": "x" * 20_001}}, "20,000 are the most"),
    ],
)
def test_what_is_not_offered_is_refused_in_a_sentence(
    service: ServiceSettings, changes: dict[str, Any], why: str
) -> None:
    assert why in refused(service, **changes)


def test_a_long_prompt_may_be_evaluated(service: ServiceSettings) -> None:
    request = asked(prompts=[{"text": "x" * 200_000}])
    checked_questions(request, service, str(Path(service.storage) / "out"), ANN)


def test_somebody_elses_file_does_not_exist(service: ServiceSettings) -> None:
    with pytest.raises(NotFound, match="There is no file 'file-1'"):
        checked_questions(asked(), service, str(Path(service.storage) / "out"), BOB)


def test_it_may_want_no_more_answers_than_the_operator_allows(service: ServiceSettings) -> None:
    small = service.model_copy(update={"limits": RequestLimits(examples=7)})
    with pytest.raises(SettingsError, match=r"wants 8 answers \(4 rows under 2 prompts\)"):
        checked_questions(asked(), small, str(Path(service.storage) / "out"), ANN)


def test_its_record_is_read_again_by_its_id(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    filed = Filed("eval-1", 1, "ann", 1, asked(min=0.5))
    store.file_request(filed)
    assert store.filed("eval-1") == filed
    assert store.job_folders() == ["eval-1"]
    answer = job_answer(filed, State(), 0)
    assert isinstance(answer, Evaluation)
    assert answer.request == filed.request
    with pytest.raises(DataError, match="cannot be read"):
        Filed.from_json(filed.to_json() | {"id": "opt-1"})


def test_a_damaged_one_is_shown_as_what_it_was() -> None:
    for id, kind in (("eval-1", Evaluation), ("opt-1", Optimization)):
        assert isinstance(DamagedJob(id, 1, "ann", "x", 1, "It is damaged.").answer, kind)
