"""Components of others in the service: its operator's list is all that requests may name, and all
that is imported.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from cluster.cli.service_job_request import build_request
from cluster.config.components import components_of
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of, trial_specs
from cluster.experiment.prepare import as_yaml, check
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import admit, experiment_settings, stored_settings
from cluster.service.jobs.request_mapping import probe_digest as digest
from cluster.service.read_models.settings import shown_settings
from cluster.service.schemas import STORED, OptimizationRequest
from cluster.service.show import shown_app
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS
from optimizer.registry import Registry
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS
from serving.settings.validation import sentence
from serving.storage import open_folder
from tests.unit.cluster.service.http.test_canaries import Checks, JobBackend

THEIRS = '''
from dataclasses import dataclass
from optimizer.tasks.loading import split_task
from optimizer.types import Example, Score

@dataclass(frozen=True)
class Blind:
    """Guesses."""
    rounds: int = 2
    file: str = ""
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

@dataclass(frozen=True)
class First:
    """Takes the first ones."""
    async def select(self, arms, items, keep, measure, rng):
        return list(range(arms))

@dataclass(frozen=True)
class Unreadable:
    rounds: "Nothing" = 1
    async def search(self, problem, optimizer, evaluate, rng):
        yield None

def polite(response, example):
    """An answer with a please."""
    return Score("right", response.text)

def greetings(sizes, seed):
    """Greetings."""
    examples = [Example(str(n), f"Greet {n}", ("hello",)) for n in range(sizes.total)]
    return split_task("greetings", examples, sizes, seed)
'''
SMALL: dict[str, Any] = {
    "tasks": [{"generated": "coin_flip"}],
    "strategies": ["apo"],
    "sizes": {"train": 2, "dev": 2, "test": 2},
}
COMPONENTS = {
    "strategies": {"blind": "theirs_module:Blind"},
    "selection_rules": {"first": "theirs_module:First"},
    "graders": {"polite": "theirs_module:polite"},
    "tasks": {"greet": "theirs_module:greetings"},
}
OWN: dict[str, Any] = SMALL | {
    "tasks": [{"generated": "greet", "scorer": "polite"}, {"generated": "coin_flip"}],
    "strategies": [{"name": "blind", "settings": {"rounds": 1}}, "apo"],
    "selection": "first",
}
NAMED: list[dict[str, Any]] = [
    change
    for name in ("os:system", "planted_module:Name", "planted_module", "planted")
    for change in (
        {"strategies": [name]},
        {"strategies": [{"name": name, "label": "apo"}]},
        {"selection": name},
        {"tasks": [{"generated": name}]},
        {"tasks": [{"generated": "coin_flip", "scorer": name}]},
        {"search": {"space": {"selection": ["full", name]}}},
        {"search": {"space": {"selection": {"choice": [name]}}}},
        {"search": {"space": {}, "searcher": name}},
        {"search": {"space": {}, "scheduler": name}},
        {"code": [name]},
        {"components": {"strategies": {"x": name}}},
    )
]


@pytest.fixture(autouse=True)
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed module, and another one with an entry point, which nobody allows."""
    site = tmp_path / "site"
    (site / "planted-1.dist-info").mkdir(parents=True)
    (site / "planted-1.dist-info" / "METADATA").write_text("Name: planted\nVersion: 1\n")
    points = [
        f"[promptray.{group}]\nplanted = planted_module:Name\n"
        for group in ("strategies", "selection_rules", "graders", "tasks")
    ]
    (site / "planted-1.dist-info" / "entry_points.txt").write_text("".join(points))
    (site / "theirs_module.py").write_text(THEIRS)
    (site / "planted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(site)
    for registry in (STRATEGIES, SELECTION_RULES, GRADERS, TASKS):
        monkeypatch.setattr(registry, "_imported", {})
    yield
    sys.modules.pop("theirs_module", None)


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings.model_validate(
        {"storage": str(tmp_path / "stored"), "components": COMPONENTS}
    )


@pytest.fixture
async def service(settings: ServiceSettings) -> AsyncIterator[httpx2.AsyncClient]:
    settings.components.import_all()  # as each process of the service does when it starts
    app = shown_app(JobBackend(settings, checks=Checks()), open_folder(settings.storage), settings)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1"
    ) as client:
        yield client


def mapped(
    settings: ServiceSettings, tmp_path: Path, given: dict[str, Any] = OWN
) -> ExperimentSettings:
    settings.components.import_all()
    request = OptimizationRequest.model_validate(given)
    admit(request, settings)
    return experiment_settings(request, settings, open_folder(tmp_path / "out"))


async def test_what_the_operator_does_not_list_is_refused_and_nothing_is_imported(
    service: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(Registry, "import_name", lambda registry, name: imported.append(name))
    monkeypatch.setattr("optimizer.registry.import_module", imported.append)
    for changes in NAMED:
        for route in ("/v1/optimizations", "/v1/optimizations/estimate"):
            answer = await service.post(route, json=SMALL | changes)
            assert answer.status_code == 400, (route, changes, answer.text)
    assert imported == []
    assert "planted_module" not in sys.modules
    assert not any("planted" in name for registry in (STRATEGIES, GRADERS) for name in registry)


async def test_what_the_operator_lists_is_offered_and_taken(service: httpx2.AsyncClient) -> None:
    found = (await service.get("/v1/catalogue")).json()
    assert found["strategies"]["blind"] == "Guesses"
    assert found["selection_rules"]["first"] == "Takes the first ones"
    assert found["scorers"]["polite"] == "An answer with a please."
    assert found["generated_tasks"]["greet"] == "Greetings"
    assert "theirs_module" not in str(found)
    assert (await service.post("/v1/optimizations/estimate", json=OWN)).status_code == 200
    space = OWN | {"search": {"space": {"selection": ["first", "full"], "blind.rounds": [1, 2]}}}
    assert (await service.post("/v1/optimizations/estimate", json=space)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"strategies": ["theirs_module:Blind"]}, "strategies.0.name"),
        ({"selection": "theirs_module:First"}, "selection.name"),
        ({"tasks": [{"generated": "theirs_module:greetings"}]}, "no generated task called"),
        (
            {"tasks": [{"generated": "coin_flip", "scorer": "theirs_module:polite"}]},
            "no scorer called 'theirs_module:polite'; known are: choice, contains, exact, json, ",
        ),
        (
            {"strategies": [{"name": "blind", "settings": {"file": "/etc/passwd"}}]},
            "The setting 'file' of strategy 'blind' cannot be given in a request",
        ),
        ({"search": {"space": {"strategy.file": ["a"]}}}, "only numbers and choices are searched"),
    ],
)
def test_a_request_has_the_operators_names_and_harmless_settings(
    settings: ServiceSettings, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises((SettingsError, ValidationError)) as caught:
        mapped(settings, tmp_path, OWN | changes)
    problem = caught.value
    assert why in (sentence(problem) if isinstance(problem, ValidationError) else str(problem))


def test_an_experiment_has_them_by_names_that_its_trials_find(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    space = {"space": {"selection": ["first", "full"]}, "searcher": "grid"}
    experiment = mapped(settings, tmp_path, OWN | {"search": space})
    assert [(one.name, one.label) for one in experiment.strategies] == [
        ("theirs_module:Blind", "blind"),
        ("apo", "apo"),
    ]
    assert [name for _, name in components_of(experiment)] == [
        "theirs_module:Blind",
        "theirs_module:First",
        "theirs_module:greetings",
        "theirs_module:polite",
    ]
    assert [(task.source, task.label) for task in experiment.tasks] == [
        ("theirs_module:greetings", "greet"),
        ("coin_flip", "coin_flip"),
    ]
    trials, _, recorded = check(experiment)
    assert plan_of(experiment, trials[0]).strategy_label == "blind"
    assert recorded.versions["theirs_module:Blind"].startswith("sha256:")
    assert trial_specs(experiment) == trials


def test_a_job_of_before_goes_on_only_with_what_is_listed_now(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    experiment, out = mapped(settings, tmp_path), open_folder(tmp_path / "out")
    out.write("settings.yaml", as_yaml(experiment).encode())
    request = OptimizationRequest.model_validate(OWN)
    assert stored_settings(request, settings, out) == experiment
    changed = as_yaml(experiment).replace("theirs_module:Blind", "planted_module:Name")
    out.write("settings.yaml", changed.encode())
    with pytest.raises(ValueError, match="no strategy called 'planted_module:Name'"):
        stored_settings(request, settings, out)
    assert "planted_module" not in sys.modules


def test_a_request_of_before_is_read_where_its_strategy_is_gone() -> None:
    assert "blind" not in STRATEGIES
    request = OptimizationRequest.model_validate(OWN, context=STORED)
    assert request.strategies[0].name == "blind"
    with pytest.raises(SettingsError, match="no generated task called 'greet'"):
        admit(request, ServiceSettings())


def test_an_estimate_of_other_components_is_another_one(settings: ServiceSettings) -> None:
    settings.components.import_all()
    request = OptimizationRequest.model_validate(SMALL)
    assert digest(request, ServiceSettings()) == "2c298cde9a9a070d6aa156b9"
    assert digest(request, settings) != digest(request, ServiceSettings())


def test_no_place_of_code_is_shown(settings: ServiceSettings, tmp_path: Path) -> None:
    experiment = mapped(settings, tmp_path).model_copy(update={"code": ("/home/x/mine.py",)})
    assert "code" not in shown_settings(experiment)


@pytest.mark.parametrize(
    ("components", "why"),
    [
        ({"strategies": {"apo": "theirs_module:Blind"}}, "'apo' is one of promptray's own"),
        ({"strategies": {"a:b": "theirs_module:Blind"}}, "a:b"),
        ({"strategy": {"blind": "theirs_module:Blind"}}, "did you mean 'strategies'?"),
    ],
)
def test_an_operator_hears_of_a_slip(components: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ServiceSettings.model_validate({"components": components})
    assert why in sentence(caught.value)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("theirs_module:Nobody", "has no Nobody"),
        ("nowhere_module:Blind", "there is no module nowhere_module"),
        ("planted_module:Name", "importing planted_module fails"),
        ("theirs_module:Unreadable", "types of the settings of the strategy theirs_module:Unread"),
        ("theirs_module:First", "it has no method search"),
    ],
)
def test_a_service_does_not_start_with_what_cannot_be_used(place: str, why: str) -> None:
    settings = ServiceSettings.model_validate({"components": {"strategies": {"blind": place}}})
    with pytest.raises(SettingsError, match=why):
        settings.components.import_all()


def test_an_entry_point_may_be_listed_too(tmp_path: Path) -> None:
    record = tmp_path / "site" / "theirs-2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Name: theirs\nVersion: 2\n")
    (record / "entry_points.txt").write_text("[promptray.strategies]\nguess = theirs_module:Blind")
    given = {"components": {"strategies": {"blind": "guess"}}}
    ServiceSettings.model_validate(given).components.import_all()
    assert STRATEGIES["blind"] is STRATEGIES["guess"]


def test_a_command_leaves_it_to_the_service_to_say_what_it_offers() -> None:
    asked = build_request(None, None, ["greet"], ["blind"], None)  # type: ignore[arg-type]
    assert asked.tasks[0].generated == "greet"
    assert asked.strategies[0].name == "blind"
