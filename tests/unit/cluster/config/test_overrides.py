"""Options of `promptray run` replace what stands in the file, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.config.overrides import overrides
from optimizer.errors import SettingsError
from optimizer.strategies import ABO
from serving.clients.openai_repairs import as_settings
from serving.settings import OpenAISettings

FILE: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": ["apo", {"name": "abo", "label": "bare", "settings": {"demonstrations": 0}}],
    "budget": {"target_calls": 900},
    "recorded": {"data": {"navigate": {0: "ab"}}},
}
OPTIONS = dict.fromkeys(
    (
        "tasks",
        "strategies",
        "scorer",
        "seed_instruction",
        "sizes",
        "target_calls",
        "optimizer_calls",
        "target",
        "optimizer",
        "selection",
        "seeds",
        "concurrency",
        "out",
    )
)


def read(folder: Path, **options: Any) -> ExperimentSettings:
    file = folder / "x.yaml"
    file.write_text(yaml.safe_dump(FILE))
    return ExperimentSettings.read(file, overrides(file, **(OPTIONS | options)))


def test_without_options_the_file_stands(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings == ExperimentSettings.read(tmp_path / "x.yaml")
    assert settings.recorded is not None


def test_a_model_may_be_a_mapping_as_an_endpoints_refusal_advises_it(tmp_path: Path) -> None:
    """What serving.clients.openai_repairs.as_settings writes can be copied behind --target."""
    changes = {
        "max_tokens_field": "max_completion_tokens",
        "send_temperature": False,
        "system_role": "user",
    }
    for name in ("m", "org/m-4.1:free", "no", "5", "a: b, {c}", "'"):
        plain = OpenAISettings(model=name, base_url="http://x/v1")
        settings = read(tmp_path, target=as_settings(plain, changes))
        assert settings.target_model == plain.model_copy(update=changes)
    for broken in ("{", "{1: 2}", "{a"):
        with pytest.raises(SettingsError, match="is no mapping"):
            read(tmp_path, optimizer=broken)


def test_a_strategy_is_taken_from_the_file_by_its_label(tmp_path: Path) -> None:
    (strategy,) = read(tmp_path, strategies=["bare"]).strategies
    assert strategy.build() == ABO(demonstrations=0)


def test_a_strategy_that_the_file_lacks_is_taken_by_its_name(tmp_path: Path) -> None:
    (strategy,) = read(tmp_path, strategies=["abo"]).strategies
    assert strategy.build() == ABO()


def test_tasks_are_replaced_and_their_record_dropped(tmp_path: Path) -> None:
    settings = read(tmp_path, tasks=["coin_flip"], scorer="exact")
    assert [(task.source, task.scorer) for task in settings.tasks] == [("coin_flip", "exact")]
    assert settings.recorded is None


def test_a_seed_instruction_goes_to_the_tasks_of_the_file(tmp_path: Path) -> None:
    assert [task.seed_instruction for task in read(tmp_path, seed_instruction="Think.").tasks] == [
        "Think."
    ]


def test_one_budget_leaves_the_other(tmp_path: Path) -> None:
    budget = read(tmp_path, optimizer_calls=5).budget
    assert (budget.target_calls, budget.optimizer_calls) == (900, 5)


def test_sizes_are_three_numbers(tmp_path: Path) -> None:
    sizes = read(tmp_path, sizes="5,6,7").sizes
    assert (sizes.train, sizes.dev, sizes.test) == (5, 6, 7)
    with pytest.raises(SettingsError, match="TRAIN,DEV,TEST"):
        read(tmp_path, sizes="5,6")
