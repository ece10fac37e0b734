"""Selection rules as an experiment's settings write them: every rule with each of its own settings,
and mistakes in a sentence.
"""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from optimizer.errors import SettingsError
from optimizer.selection import SELECTION_RULES, UCB, Racing, SuccessiveHalving

SMALL = {"tasks": ["navigate"], "strategies": ["apo"]}


def read(folder: Path, selection: object) -> ExperimentSettings:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(SMALL | {"selection": selection}), encoding="utf-8")
    return ExperimentSettings.read(file)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ucb", UCB()),
        (
            {"name": "ucb", "settings": {"exploration": 0.5, "batch_arms": 4}},
            UCB(exploration=0.5, batch_arms=4),
        ),
        ({"name": "racing", "settings": {"budget_share": 0.25}}, Racing(budget_share=0.25)),
        (
            {"name": "successive_halving", "settings": {"eta": 4, "budget_share": 1}},
            SuccessiveHalving(eta=4, budget_share=1),
        ),
    ],
)
def test_a_rule_takes_its_own_settings(tmp_path: Path, written: object, meant: object) -> None:
    assert read(tmp_path, written).selection.build() == meant


@pytest.mark.parametrize("name", SELECTION_RULES)
def test_every_default_can_be_written_out(tmp_path: Path, name: str) -> None:
    rule = SELECTION_RULES[name]()
    written = {field.name: getattr(rule, field.name) for field in fields(rule)}  # type: ignore[arg-type]
    assert read(tmp_path, {"name": name, "settings": written}).selection.build() == rule


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget_share": 0}, "budget_share is 0"),
        ({"exploration": -1}, "exploration is -1"),
        ({"block": 3}, "did you mean 'block_items'?"),
        ({"batch_arms": "many"}, "batch_arms"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, {"name": "ucb", "settings": settings})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
