"""From a request to the experiment: the same as a settings file's, with data by file id, models by
label, faults in a sentence.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import checked, experiment_settings, probe_digest
from cluster.service.schemas import OptimizationRequest
from optimizer.errors import PromptrayError, SettingsError
from serving.storage import open_folder
from tests.e2e.chaos.experiments import write_task
from tests.unit.cluster.service.requests import request

ANN = Principal("ann")


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
        asked(tasks=[{"file": "file-1"}]), ServiceSettings(storage=any_place), out, ANN
    )
    (setting,) = experiment.settings.tasks
    assert setting.label == "my-sums"
    assert Path(setting.source).is_file()
    assert len(experiment.tasks["my-sums", 0].train) == 10
    assert not (tmp_path / "results").exists(), "a check leaves nothing behind"


def test_a_file_of_another_is_as_one_that_there_is_not(tmp_path: Path) -> None:
    upload(str(tmp_path), "file-1", "bob", Path(write_task(tmp_path)).read_bytes())
    service, out = ServiceSettings(storage=str(tmp_path)), open_folder(str(tmp_path / "out"))
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
