"""A search is known again by what decides it, in words that no renamed class and no setting of a
later version changes.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.experiment.search_basis import basis_of, comparable, described
from cluster.experiment.search_journal import open_decisions
from cluster.search.decisions import Decision, Ended, Given, Judged, Opened, to_json
from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from optimizer.errors import SettingsError
from optimizer.selection import SELECTION_RULES
from optimizer.selection.racing import Racing
from optimizer.strategies import STRATEGIES
from optimizer.tasks.task import Sizes
from optimizer.types import Sampling
from serving.storage import open_folder

RECORDED = Recorded(data={"navigate": {0: "a hash"}})
NAMES = {
    "iterative_ape": "IterativeAPE",
    "opro": "OPRO",
    "apo": "APO",
    "apo_sum": "APOSum",
    "prompt_agent": "PromptAgent",
    "abo": "ABO",
    "hybrid": "Hybrid",
    "full": "Full",
    "racing": "Racing",
    "successive_halving": "SuccessiveHalving",
    "successive_rejects": "SuccessiveRejects",
    "ucb": "UCB",
    "ucb_e": "UCBE",
    "grid": "Grid",
    "random": "Random",
    "optuna": "Optuna",
    "none": "Unscheduled",
    "asha": "ASHA",
    "median": "Median",
}
"""By name in the settings, what a thing is called in OUT/decisions/settings.json since the first
version that wrote one.
"""


def settings(**changes: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {
            "tasks": ["navigate"],
            "strategies": ["apo"],
            "sizes": {"train": 4, "dev": 4, "test": 4},
            "search": {
                "space": {"strategy.beam": [1, 2]},
                "searcher": {"name": "optuna"},
                "scheduler": "asha",
            },
        }
        | changes
    )


def kept(place: Path, changed: dict[str, Any] | None = None, remove: str = "") -> None:
    """A record of a search in `place`, as another version would have left it."""
    basis = basis_of(settings(), RECORDED) | (changed or {})
    text = json.dumps(basis)
    assert remove in text
    (place / "decisions").mkdir()
    (place / "decisions" / "settings.json").write_text(text.replace(remove, ""))
    (place / "decisions" / "000000.jsonl").write_text(json.dumps(to_json(Ended("t", 0.5))) + "\n")


def reopened(place: Path, **changes: Any) -> tuple[Decision, ...]:
    return open_decisions(open_folder(place), settings(**changes), RECORDED, ["t"]).made


@pytest.mark.parametrize("name", NAMES)
def test_things_are_described_as_in_the_first_records(name: str) -> None:
    kind: Any = {**STRATEGIES, **SELECTION_RULES, **SEARCHERS, **SCHEDULERS}[name]
    assert described(kind()).startswith(f"{NAMES[name]}(")


def test_their_settings_follow_with_their_names() -> None:
    assert (
        described(Racing())
        == "Racing(block_items=10, alpha=0.1, finish=True, budget_share=1.0, tolerance=0.02)"
    )
    assert described(Sampling()) == "Sampling(temperature=0.0, max_tokens=512)"
    assert described(Sizes(1, 2, 3)) == "Sizes(train=1, dev=2, test=3)"


@contextmanager
def renamed(kind: type) -> Iterator[None]:
    name, whole = kind.__name__, kind.__qualname__
    kind.__name__ = kind.__qualname__ = "Renamed"
    try:
        yield
    finally:
        kind.__name__, kind.__qualname__ = name, whole


def test_a_renamed_class_is_the_same_thing() -> None:
    for kind in (
        Racing,
        Sampling,
        Sizes,
        *STRATEGIES.values(),
        *SEARCHERS.values(),
        *SCHEDULERS.values(),
    ):
        before = described(kind())
        with renamed(kind):
            assert described(kind()) == before


def test_a_search_goes_on_though_a_setting_has_come_since(tmp_path: Path) -> None:
    kept(tmp_path, remove=", tolerance=0.02")
    assert reopened(tmp_path) == (Ended("t", 0.5),)


def test_but_not_where_that_setting_is_another_than_its_default(tmp_path: Path) -> None:
    kept(tmp_path, remove=", tolerance=0.02")
    with pytest.raises(SettingsError, match="the setting selection was Racing"):
        reopened(tmp_path, selection={"name": "racing", "settings": {"tolerance": 0.3}})


@pytest.mark.parametrize(
    "then",
    [
        "Racing(block_items=9, alpha=0.1, finish=True, budget_share=1.0, tolerance=0.02)",
        "Full()",
        "UCB()",
        "Racing(",
        "",
        None,
        3,
        "Racing(block_items=len('1234567890'))",
        "Racing(**{})",
    ],
)
def test_another_thing_is_refused_and_so_is_what_cannot_be_read(tmp_path: Path, then: Any) -> None:
    kept(tmp_path, {"the setting selection": then})
    with pytest.raises(SettingsError, match="the setting selection was"):
        reopened(tmp_path)


def test_a_label_stands_before_a_strategy(tmp_path: Path) -> None:
    basis = basis_of(settings(), RECORDED)["the setting strategies"]
    kept(tmp_path, {"the setting strategies": [basis[0].replace("apo: ", "mine: ")]})
    with pytest.raises(SettingsError, match="the setting strategies was"):
        reopened(tmp_path)
    assert comparable(basis) != comparable([basis[0].replace("apo: ", "mine: ")])
    assert comparable(basis) == comparable([basis[0].replace("rounds=6, ", "")])


def test_kinds_of_decisions_are_no_names_of_classes() -> None:
    made = {
        "opened": Opened(1),
        "given": Given("t", {}),
        "ended": Ended("t", None),
        "judged": Judged("t", "x", 0, 0, 0.5, True),
    }
    for kind, decision in made.items():
        with renamed(type(decision)):
            assert to_json(decision)["kind"] == kind


def test_every_thing_has_settings_alone() -> None:
    """So that all of it is described."""
    for kind in (
        *STRATEGIES.values(),
        *SELECTION_RULES.values(),
        *SEARCHERS.values(),
        *SCHEDULERS.values(),
    ):
        assert dataclasses.is_dataclass(kind)
        assert all(field.repr for field in dataclasses.fields(kind))
