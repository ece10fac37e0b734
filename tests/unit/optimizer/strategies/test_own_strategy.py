"""README's strategy of one's own keeps the contract, and is what README shows."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.contracts.my_strategy import Climb
from tests.contracts.strategy_contract import StrategyContract

ROOT = Path(__file__).parents[4]
SECTION = "## A strategy of your own"
MOST_LINES = 40


class TestClimb(StrategyContract):
    make = Climb
    small = {"rounds": 3, "children": 5}
    max_batches_per_round = 1
    wide = {"children": 9}
    impossible = {"rounds": -1, "children": 0}
    shows_errors = False
    learns_the_baseline_s_score = False


def block(language: str) -> str:
    """What README shows in that language, in this section."""
    section = (ROOT / "README.md").read_text("utf-8").partition(SECTION)[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


def test_readme_shows_the_file_that_is_tested() -> None:
    shown = block("python")
    assert shown == (ROOT / "tests" / "contracts" / "my_strategy.py").read_text("utf-8")
    assert len(shown.splitlines()) <= MOST_LINES


def test_readme_s_experiment_names_it() -> None:
    given: dict[str, Any] = yaml.safe_load(block("yaml"))
    assert given["code"] == ["my_strategy.py"]
    assert given["strategies"][0] == {"name": "my_strategy:Climb", "settings": {"children": 6}}
