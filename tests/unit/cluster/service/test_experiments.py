"""From a request to the experiment: the same as a settings file's, with data by file id, models by
label, faults in a sentence.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import Experiment
from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import checked, experiment_settings, probe_digest
from cluster.service.schemas import OptimizationRequest
from optimizer.errors import DataError, PromptrayError, SettingsError
from serving.storage import open_folder
from tests.contracts.everyday_tasks import tickets
from tests.e2e.chaos.experiments import write_task
from tests.unit.cluster.service.requests import request

ANN = Principal("ann")
FOR_ANY_DATA: Any = [
    {"kind": "builtin", "name": name, "any_data": True} for name in ("target", "optimizer")
]


def asked(**changes: Any) -> OptimizationRequest:
    return OptimizationRequest.model_validate(request(**changes))


def upload(place: str, id: str, owner: str, data: bytes) -> None:
    folder = open_folder(place) / "files" / id
    folder.write("data.jsonl", data)
    folder.write(
        "file.json", json.dumps({"id": id, "owner": owner, "filename": "my sums.jsonl"}).encode()
    )


def test_a_request_is_the_experiment_that_a_file_with_the_same_settings_is(tmp_path: Path) -> None:
    given = request(seeds=[1, 2], concurrency=3, selection={"name": "full"}, form_control=False)
    out = open_folder(str(tmp_path / "out"))
    file = tmp_path / "experiment.yaml"
    file.write_text(
        yaml.safe_dump(given | {"name": "optimization", "tasks": ["navigate"], "out": out.place})
    )
    assert experiment_settings(
        asked(**given), ServiceSettings(storage=str(tmp_path)), out
    ) == ExperimentSettings.read(file)


def test_an_uploaded_file_is_found_on_any_storage_and_keeps_its_own_name(
    any_place: str, tmp_path: Path
) -> None:
    upload(any_place, "file-1", "ann", Path(write_task(tmp_path)).read_bytes())
    out = open_folder(str(tmp_path / "results"))
    experiment = checked(
        asked(tasks=[{"file": "file-1"}]),
        ServiceSettings(storage=any_place, models=FOR_ANY_DATA),
        out,
        ANN,
    )
    (setting,) = experiment.settings.tasks
    assert setting.label == "my-sums"
    assert Path(setting.source).is_file()
    assert len(experiment.tasks["my-sums", 0].train) == 10
    assert not (tmp_path / "results").exists(), "a check leaves nothing behind"


def tickets_as_jsonl(start: int, end: int) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in tickets(150)[start:end])


MODEL = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
COLUMNS = {"input": "{{label}}? {{text}}", "target": "label"}


def described(place: Path, task: dict[str, Any], **changes: Any) -> Experiment:
    """Return the experiment of a request for tickets, under models of the operator's own."""
    service = ServiceSettings(storage=str(place), models=[MODEL])
    label = service.parsed[0].label
    given = asked(tasks=[task], target=label, optimizer=label, **changes)
    return checked(given, service, open_folder(str(place / "out")), ANN)


def test_a_file_may_have_columns_of_its_own(tmp_path: Path) -> None:
    upload(str(tmp_path), "file-1", "ann", tickets_as_jsonl(0, 150))
    task = {"file": "file-1", "columns": COLUMNS, "description": "Sort them."}
    found = described(tmp_path, task, sizes={"auto": True}).tasks["my-sums", 0]
    assert [len(found.train), len(found.dev), len(found.test)] == [45, 45, 60]
    assert found.description == "Sort them."
    assert found.train[0].input.startswith(f"{found.train[0].answers[0]}? ")
    assert found.train[0].id.startswith("my sums/")


def test_messages_have_the_name_of_the_uploaded_file(tmp_path: Path) -> None:
    upload(str(tmp_path), "file-1", "ann", tickets_as_jsonl(0, 30))
    with pytest.raises(DataError) as caught:
        described(tmp_path, {"file": "file-1"})
    assert str(caught.value).startswith("my sums.jsonl has no column input and no column target;")
    with pytest.raises(DataError, match=r"^Task 'my sums' has 30 distinct examples, but train 50"):
        described(tmp_path, {"file": "file-1", "columns": COLUMNS}, sizes={"train": 50})


def test_three_files_may_be_the_splits(tmp_path: Path) -> None:
    for at, owner in enumerate(("ann", "ann", "ann", "bob")):
        upload(str(tmp_path), f"file-{at}", owner, tickets_as_jsonl(at * 30, at * 30 + 30))
    task = {"file": "file-0", "dev_file": "file-1", "test_file": "file-2", "columns": COLUMNS}
    [found] = described(tmp_path, task, sizes={"auto": True}).tasks.values()
    assert [len(found.train), len(found.dev), len(found.test)] == [30, 30, 30]
    for setting in ("dev_file", "test_file"):
        with pytest.raises(NotFound, match="no file 'file-3'"):
            described(tmp_path, task | {setting: "file-3"})
        with pytest.raises(NotFound, match="/etc/passwd"):
            described(tmp_path, task | {setting: "/etc/passwd"})
    with pytest.raises(SettingsError, match="no dev_file, no test_file and no columns"):
        described(tmp_path, {"generated": "navigate", "columns": COLUMNS})


def test_shares_of_a_large_file_are_held_to_the_limit_of_examples(tmp_path: Path) -> None:
    rows = [{"input": f"q{at}", "target": f"a{at % 5}"} for at in range(1000)]
    upload(
        str(tmp_path), "file-1", "ann", b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    )
    service = ServiceSettings(storage=str(tmp_path), models=[MODEL], limits={"examples": 500})
    label = service.parsed[0].label
    given = asked(
        tasks=[{"file": "file-1"}],
        target=label,
        optimizer=label,
        sizes={"shares": {"train": 0.3, "dev": 0.2, "test": 0.1}},
        budget={},
    )
    with pytest.raises(SettingsError, match="The request has 600 examples"):
        checked(given, service, open_folder(str(tmp_path / "out")), ANN)


def test_a_file_of_another_is_as_one_that_there_is_not(tmp_path: Path) -> None:
    upload(str(tmp_path), "file-1", "bob", Path(write_task(tmp_path)).read_bytes())
    service = ServiceSettings(storage=str(tmp_path), models=FOR_ANY_DATA)
    out = open_folder(str(tmp_path / "out"))
    refusals = set()
    for id in ("file-1", "file-2", "../files/file-1", ""):
        with pytest.raises(NotFound) as refused:
            checked(asked(tasks=[{"file": id}]), service, out, ANN)
        refusals.add(str(refused.value).replace(repr(id), "ID"))
    assert len(refusals) == 1
    assert checked(
        asked(tasks=[{"file": "file-1"}]), service, out, Principal("root", admin=True)
    ).trial_specs


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "builtin:nobody"}, "builtin:target"),
        ({"tasks": [{"generated": "nothing"}]}, "navigate"),
        ({"tasks": [{}]}, "one of them"),
        ({"tasks": [{"generated": "navigate", "file": "file-1"}]}, "one of them"),
        ({"budget": {"target_calls": 5}}, "final test"),
        ({"budget": {"money": 1.0}}, "prices"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once_in_a_sentence(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(PromptrayError, match=said) as refused:
        checked(
            asked(**changes),
            ServiceSettings(storage=str(tmp_path)),
            open_folder(str(tmp_path / "out")),
            ANN,
        )
    assert isinstance(refused.value, SettingsError)
    assert "\n" not in str(refused.value)


def test_a_probe_serves_all_requests_that_ask_the_same(tmp_path: Path) -> None:
    service = ServiceSettings(storage=str(tmp_path))
    digest = probe_digest(asked(), service)
    assert (
        probe_digest(
            asked(name="other", budget={"target_calls": 999}, concurrency=9, metadata={"a": "b"}),
            service,
        )
        == digest
    )
    assert probe_digest(asked(seeds=[5]), service) != digest
    other = ServiceSettings(
        storage=str(tmp_path),
        models=["builtin:target", {"kind": "builtin", "name": "optimizer", "seed": 7}],
    )
    assert probe_digest(asked(), other) != digest, "a model that answers otherwise"
