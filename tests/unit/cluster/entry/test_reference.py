"""SETTINGS.md says what the settings classes say."""

from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.entry.reference import reference
from optimizer.graders.graders import GRADERS
from optimizer.strategies import STRATEGIES

ROOT = Path(__file__).parents[4]


def test_the_file_is_that_of_the_classes() -> None:
    assert (ROOT / "SETTINGS.md").read_text() == reference(), (
        "run: python -m cluster.entry.reference > SETTINGS.md"
    )


def test_everything_that_can_be_chosen_stands_in_it() -> None:
    text = reference()
    for name in (*ExperimentSettings.model_fields, *GRADERS.table, *STRATEGIES.table):
        assert f"`{name}`" in text, name
    for part in ("max_in_flight", "prompt_per_million", "least_score", "grace_rounds"):
        assert f"`{part}`" in text, part
