"""What a request may ask for: models by the labels that are offered, harmless settings, and no more
than the operator's limits, which are counted and not tried out.
"""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.experiment.planning import optimizers, plan_of, trial_specs
from cluster.service.access.admission import expect_within
from cluster.service.core.job_record import Filed
from cluster.service.core.settings import RequestLimits, ServiceSettings
from cluster.service.jobs.request_mapping import admit, experiment_settings
from cluster.service.schemas import STORED, OptimizationRequest
from cluster.service.schemas.plain import harmless_settings
from optimizer.errors import SettingsError
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings import OpenAISettings
from serving.settings.validation import sentence
from serving.storage import open_folder
from tests.unit.cluster.service.requests import request

SMALL = {
    "kind": "openai",
    "model": "gpt-small",
    "base_url": "http://127.0.0.1:9/small",
    "api_key_env": "SMALL_KEY",
}
LARGE = {
    "kind": "openai",
    "model": "gpt-large",
    "base_url": "http://127.0.0.1:9/large",
    "api_key_file": "/run/secrets/large",
}
OFFERED = ServiceSettings(models=["builtin:target", "builtin:optimizer", SMALL, LARGE])
BOTH = ["openai:gpt-small", "openai:gpt-large"]
THIRTY_TWO = [{"generated": "navigate"}] * 32
QUICK_S = 5.0
MEMORY = 50_000_000


def searched(space: dict[str, Any], searcher: str = "grid", **how: Any) -> dict[str, Any]:
    return request(search={"searcher": searcher, "space": space} | how)


def refused(given: dict[str, Any], service: ServiceSettings = OFFERED) -> str:
    """The one sentence, said at once and without memory."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((SettingsError, ValidationError)) as caught:
            admit(OptimizationRequest.model_validate(given), service)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < QUICK_S
    said = (
        sentence(caught.value) if isinstance(caught.value, ValidationError) else str(caught.value)
    )
    assert "\n" not in said
    return said


def test_a_search_among_offered_models_names_them_by_label_and_gets_the_operators_settings(
    tmp_path: Path,
) -> None:
    listed = ["openai:gpt-small", "openai:gpt-large", "builtin:optimizer"]
    given = searched({"optimizer": listed, "optimizer.max_tokens": [100, 200]})
    asked = OptimizationRequest.model_validate(given)
    admit(asked, OFFERED)
    settings = experiment_settings(asked, OFFERED, open_folder(str(tmp_path / "out")))
    models = [model for model in optimizers(settings) if isinstance(model, OpenAISettings)]
    assert {
        (model.label, model.base_url, model.key_place, model.max_tokens) for model in models
    } == {
        (f"openai:gpt-{size}", f"http://127.0.0.1:9/{size}", place, most)
        for size, place in (("small", "SMALL_KEY"), ("large", "/run/secrets/large"))
        for most in (100, 200)
    }
    plans = [plan_of(settings, trial_spec) for trial_spec in trial_specs(settings)]
    assert [plan.optimizer.label for plan in plans] == [
        "openai:gpt-small",
        "openai:gpt-small",
        "openai:gpt-large",
        "openai:gpt-large",
        "builtin:optimizer",
    ]
    assert plans[0].settings["optimizer"] == "openai:gpt-small"


def test_what_a_file_of_the_keyboard_names_by_label_has_no_other_names(tmp_path: Path) -> None:
    asked = OptimizationRequest.model_validate(searched({"optimizer": ["openai:gpt-small"]}))
    settings = experiment_settings(asked, OFFERED, open_folder(str(tmp_path / "out")))
    loose = settings.model_copy(
        update={
            "search": settings.search
            and settings.search.model_copy(update={"space": {"optimizer": ["builtin:optimizer"]}})
        }
    )
    with pytest.raises(
        SettingsError,
        match=r"search\.space, optimizer: There is no model called 'builtin:optimizer'",
    ):
        loose.space()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"target": "openai:x@http://127.0.0.1:9/v1"},
            "no model of this service called 'openai:x@",
        ),
        ({"optimizer": "scripted:/etc/passwd"}, "no model of this service called 'scripted:"),
        ({"target": "openai:gpt-small "}, "no model of this service"),
        ({"tasks": [{"generated": "../navigate"}]}, "no generated task called"),
        ({"tasks": [{"generated": "navigate", "scorer": "os:system"}]}, "no scorer called"),
        ({"name": ".."}, "does not begin with a dot"),
        ({"strategies": ["package.module:Name"]}, "String should match pattern"),
        (
            {"strategies": [{"name": "apo", "settings": {"opening": "x"}}]},
            "no setting called 'opening'",
        ),
        ({"selection": {"name": "a/b"}}, "pattern"),
        (
            {"strategies": [{"name": "apo", "settings": {"beam": {"a": 1}}}]},
            "strategies.0.settings.beam",
        ),
    ],
)
def test_names_are_those_that_are_offered(changes: dict[str, Any], said: str) -> None:
    assert said in refused(request(**changes)).replace("string should", "String should")


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"optimizer": ["openai:x@http://127.0.0.1:9/v1"]},
            "In search.space, optimizer: There is no model of this service called",
        ),
        (
            {"optimizer": {"choice": ["vllm:/x"]}},
            "There is no model of this service called 'vllm:/x'",
        ),
        ({"optimizer": [None]}, "There is no model of this service called 'None'"),
        ({"optimizer": {"int": [1, 2]}}, "must be a list of labels"),
        *(
            ({f"optimizer.{name}": ["x"]}, "of a model this service searches max_tokens alone")
            for name in (
                "base_url",
                "api_key_env",
                "api_key_file",
                "log",
                "kind",
                "model",
                "script",
                "replicas",
                "gpus",
                "name",
                "prior_bias",
            )
        ),
        ({"optimizer.log.x": ["x"]}, "A space has no such key"),
        ({"target": ["builtin:target"]}, "The target is what prompts are for"),
        ({"target.base_url": ["x"]}, "The target is what prompts are for"),
        ({"models": ["x"]}, "A space has no such key"),
        ({"sampling.top_p": [1]}, "known are: temperature, max_tokens"),
        ({"x": {"int": [1, {}]}}, "x"),
        ({"iterative_ape.beam": [[1]]}, "[1] is none of these"),
    ],
)
def test_a_search_has_labels_and_harmless_settings_alone(space: dict[str, Any], said: str) -> None:
    assert said in refused(searched(space, "random", trials=1))


def test_a_strategy_that_is_labelled_like_a_model_opens_nothing() -> None:
    given = searched({"optimizer.log": ["/tmp/x"]}, "random", trials=1)
    assert "of a model this service searches" in refused(
        given | {"strategies": [{"name": "apo", "label": "optimizer"}]}
    )


def test_words_of_a_prompt_may_be_given_and_are_not_searched() -> None:
    words = {"strategies": [{"name": "abo", "settings": {"opening": "Do:"}}]}
    admit(OptimizationRequest.model_validate(request(**words)), OFFERED)
    assert "only numbers and choices are searched" in refused(
        searched({"strategy.opening": ["Do:"]}) | words
    )


def test_of_every_strategy_and_rule_numbers_switches_and_choices_may_be_searched() -> None:
    """A new setting that is a text, a path or anything else is not searched until somebody has
    thought about it.
    """
    texts = {
        (name, field)
        for table in (STRATEGIES, SELECTION_RULES)
        for name, kind in table.items()
        for field in kind.__dataclass_fields__.keys() - harmless_settings(kind, texts=False)
    }
    assert texts == {
        (name, field) for name in ("abo", "hybrid") for field in ("opening", "closing")
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            request(tasks=THIRTY_TWO, strategies=["apo"] * 32, seeds=list(range(100))),
            "102,400 trials",
        ),
        (searched({"strategy.beam": {"int": [1, 1_000_000_000]}}), "1,000,000,000 trials"),
        (
            searched(
                {"strategy.beam": {"int": [1, 2**52]}, "strategy.rounds": {"int": [1, 2**52]}}
            ),
            "trials, more than the 1,000",
        ),
        (
            searched({"strategy.beam": [1, 2]}, "random", trials=10_000)
            | {"seeds": [*range(100)], "tasks": THIRTY_TWO},
            "6,400 trials",
        ),
        (
            searched({"strategy.temperature": {"float": [0, 1]}}, "random", trials=1001),
            "1,001 trials",
        ),
        (
            searched({"strategy.beam": {"int": [1, 9]}}, "optuna", trials=5_000)
            | {"seeds": [1, 1]},
            "5,000 trials",
        ),
        (searched({"strategy.beam": {"int": [1, 9]}}, "random", trials=10_000), "9 trials"),
        (request(sizes={"train": 2**50, "dev": 1, "test": 1}), "examples in the splits"),
        (
            request(sizes={"train": 2_000, "dev": 1, "test": 1}, seeds=list(range(100))),
            "200,200 examples",
        ),
        (
            request(tasks=[{"generated": "navigate", "sizes": {"train": 200_000}}]),
            "examples in the splits",
        ),
        (searched({"strategy.beam": list(range(1, 700))}), "1 settings with 699 values"),
        (searched({f"strategy.x{number}": [1] for number in range(33)}), "33 settings"),
        (
            searched({"optimizer": BOTH, "optimizer.max_tokens": list(range(1, 10))}),
            "18 optimizer models",
        ),
        (searched({"strategy.beam": list(range(1, 2000))}), "1,999 entries"),
        (searched({f"k{number}": [1] for number in range(1001)}), "1,001 entries"),
        (request(metadata={f"k{number}": "x" for number in range(1001)}), "1,001 entries"),
        (request(metadata={"k": "x" * 20_001}), "20,001 characters"),
        (request(metadata={"k" * 201: "x"}), "201 characters"),
        (request(strategies=[{"name": "apo", "label": "x" * 20_001}]), "20,001 characters"),
        (searched({"k" * 201: [1]}), "201 characters"),
        (request(seeds=[10**400]), "whole number beyond"),
        (request(budget={"target_calls": 10**400}), "whole number beyond"),
        (request(budget={"wall_s": float("inf")}), "no number that JSON has"),
        (searched({"strategy.beam": {"int": [1, 10**400]}}), "whole number beyond"),
        (request(metadata=[[[[[[[[[[1]]]]]]]]]]), "nested deeper"),
        (
            request(strategies=[{"name": "apo", "settings": {"beam": [[[[[[[[[1]]]]]]]]]}}]),
            "nested deeper",
        ),
    ],
)
def test_what_is_too_large_is_refused_by_counting(given: dict[str, Any], said: str) -> None:
    limits = RequestLimits() if said != "9 trials" else RequestLimits(trials=8)
    assert said in refused(given, OFFERED.model_copy(update={"limits": limits}))


def test_the_operator_says_how_much_a_request_may_ask_for() -> None:
    asked = OptimizationRequest.model_validate(request(seeds=[1, 2, 3]))
    for limits, said in (
        (RequestLimits(trials=2), "3 trials, more than the 2"),
        (RequestLimits(examples=89), "90 examples"),
    ):
        with pytest.raises(SettingsError, match=said):
            expect_within(asked, OFFERED.model_copy(update={"limits": limits}))
    expect_within(
        asked, OFFERED.model_copy(update={"limits": RequestLimits(trials=3, examples=90)})
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seeds": list(range(100)), "strategies": ["apo", "abo"]},
        {"tasks": [{"file": "file-1", "label": "größe"}]},
        {
            "search": {
                "searcher": "grid",
                "space": {"strategy.rounds": {"int": [1, 5]}, "selection": ["full", "racing"]},
            }
        },
        {
            "search": {
                "searcher": "optuna",
                "space": {"sampling.temperature": {"float": [0, 1]}},
                "scheduler": "asha",
            }
        },
    ],
)
def test_what_is_usual_is_taken(changes: dict[str, Any]) -> None:
    admit(OptimizationRequest.model_validate(request(**changes)), OFFERED)


def test_a_job_that_was_taken_before_is_read_whatever_the_bounds_are_now() -> None:
    """Its results are its owner's, and a service does not stop over it."""
    given = request(metadata={"k": "x" * 30_000}, seeds=[2**60])
    with pytest.raises(ValidationError):
        OptimizationRequest.model_validate(given)
    filed = Filed.from_json(
        {
            "id": "opt-1",
            "number": 1,
            "owner": "ann",
            "created_at": 1,
            "request": given,
            "idempotency_key": None,
        }
    )
    assert filed.request == OptimizationRequest.model_validate(given, context=STORED)
