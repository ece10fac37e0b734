"""Decisions on storage: whole after a cut anywhere, and refused where the search is another one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.experiment.prepare import prepare
from cluster.experiment.search_journal import open_decisions
from cluster.search.decisions import Decisions, Ended, Given, Judged, Opened
from optimizer.errors import DataError, SettingsError, StorageError
from serving.storage import Folder, open_folder
from serving.storage.journal import LINES
from serving.storage.local import LocalFolder
from tests.contracts.examples import examples

TRIALS = tuple(f"navigate-p{number:02}-s0" for number in range(16))
RECORDED = Recorded(data={"navigate": {0: "a hash"}})
SEARCH: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": ["apo"],
    "sizes": {"train": 4, "dev": 4, "test": 4},
    "search": {
        "space": {"strategy.beam": {"int": [1, 4]}, "strategy.temperature": [0.0, 0.7]},
        "searcher": {"name": "optuna", "settings": {}},
        "scheduler": {"name": "asha", "settings": {}},
    },
}


def searching(**changes: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(SEARCH | changes)


def changed(**changes: Any) -> ExperimentSettings:
    return searching(search=SEARCH["search"] | changes)


def opened(
    place: Folder | str | Path,
    settings: ExperimentSettings | None = None,
    recorded: Recorded = RECORDED,
    trials: Any = TRIALS,
) -> Decisions:
    return open_decisions(open_folder(place), settings or searching(), recorded, trials)


def some(count: int) -> list[Ended]:
    return [Ended(TRIALS[number % 16], number / 1000) for number in range(count)]


def test_what_was_decided_is_there_again_on_any_storage(any_place: str) -> None:
    first = opened(any_place)
    made = [
        Opened(4),
        Given(TRIALS[0], {"strategy.beam": 2, "x": 0.1}),
        Judged(TRIALS[0], "navigate", 0, 1, 1 / 3, False),
        Ended(TRIALS[0], None),
    ]
    for decision in made:
        first.add(decision)
    again = opened(any_place)
    assert again.made == tuple(made)
    again.add(Opened(5))
    assert opened(any_place).made == (*made, Opened(5))


def test_a_long_record_is_many_files_of_which_only_the_last_is_written_again(
    tmp_path: Path,
) -> None:
    first, made = opened(tmp_path), some(2 * LINES + 1)
    for decision in made[:LINES]:
        first.add(decision)
    early = (tmp_path / "decisions" / "000000.jsonl").stat()
    for decision in made[LINES:-1]:
        first.add(decision)
    opened(tmp_path).add(made[-1])
    assert opened(tmp_path).made == tuple(made)
    assert [
        len(file.read_text().splitlines())
        for file in sorted((tmp_path / "decisions").glob("*.jsonl"))
    ] == [LINES, LINES, 1]
    assert (tmp_path / "decisions" / "000000.jsonl").stat() == early


@dataclass(frozen=True)
class CutFolder(LocalFolder):
    """A folder whose disk is full, or whose writer is cut, from the given write on."""

    writes: list[int]

    def child(self, name: str) -> Folder:
        return CutFolder(self.path / name, self.writes)

    def write(self, name: str, data: bytes) -> None:
        if not self.writes[0]:
            raise StorageError("The disk is full.")
        self.writes[0] -= 1
        super().write(name, data)


@given(st.integers(0, 6))
@settings(deadline=None, max_examples=examples(20))  # it waits for the disk
def test_cut_at_any_write_all_that_counted_is_there(
    tmp_path_factory: pytest.TempPathFactory, writes: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    first = opened(CutFolder(folder, [writes]))
    for decision in some(10):
        try:
            first.add(decision)
        except StorageError:
            break
    assert opened(folder).made == first.made == tuple(some(max(0, writes - 1)))


def test_two_runs_at_once_do_not_write_over_each_other(any_place: str) -> None:
    first, second = opened(any_place), opened(any_place)
    first.add(Opened(4))
    with pytest.raises(StorageError, match="let only one run at a time use a results folder"):
        second.add(Opened(5))
    assert opened(any_place).made == (Opened(4),)


def test_nor_where_a_file_has_just_become_full(tmp_path: Path) -> None:
    first = opened(tmp_path)
    for decision in some(LINES):
        first.add(decision)
    second = opened(tmp_path)
    first.add(Opened(4))
    with pytest.raises(StorageError, match="let only one run"):
        second.add(Opened(5))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            changed(scheduler={"name": "asha", "settings": {"reduction_factor": 4}}),
            r"search.scheduler was ASHA\(grace_rounds=1, reduction_factor=3\) and is "
            r"ASHA\(grace_rounds=1, reduction_factor=4\)",
        ),
        (changed(scheduler="median"), "the setting search.scheduler was ASHA"),
        (
            changed(searcher={"name": "optuna", "settings": {"seed": 1}}),
            r"the setting search.searcher was Optuna\(seed=0",
        ),
        (
            changed(space={"strategy.beam": {"int": [1, 5]}, "strategy.temperature": [0.0, 0.7]}),
            "the setting search.space was",
        ),
        (
            changed(space={"strategy.temperature": [0.0, 0.7], "strategy.beam": {"int": [1, 4]}}),
            "the setting search.space was",
        ),
        (searching(strategies=["apo", "abo"]), "the setting strategies was"),
        (searching(target="openai:m@http://h/v1"), "the setting target was builtin:target@"),
        (
            searching(optimizer={"kind": "builtin", "name": "optimizer", "seed": 3}),
            "the setting optimizer was builtin:optimizer@",
        ),
        (searching(selection="full"), "the setting selection was Racing"),
        (searching(sampling={"temperature": 0.5}), "the setting sampling was"),
        (searching(sizes={"train": 5, "dev": 4, "test": 4}), "the task navigate was"),
    ],
)
def test_another_search_is_refused_and_the_difference_named(
    tmp_path: Path, settings: ExperimentSettings, said: str
) -> None:
    opened(tmp_path).add(Opened(4))
    with pytest.raises(SettingsError, match=said) as told:
        opened(tmp_path, settings)
    assert (
        f"name another folder with --out, or delete {tmp_path / 'decisions'} to let the search "
        "decide again." in str(told.value)
    )


def test_other_data_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).add(Opened(4))
    with pytest.raises(
        SettingsError, match="the data of task navigate with seed 0 was a hash and is another now"
    ):
        opened(tmp_path, recorded=Recorded(data={"navigate": {0: "another"}}))


@pytest.mark.parametrize(
    "settings",
    [
        searching(concurrency=9),
        searching(budget={"target_calls": 77}),
        searching(name="other", out="elsewhere"),
        changed(searcher={"name": "optuna", "settings": {"seed": 0}}),
        changed(trials=32),
        searching(seeds=[0, 1]),
        searching(tasks=["navigate", "coin_flip"]),
    ],
)
def test_a_larger_experiment_goes_on(tmp_path: Path, settings: ExperimentSettings) -> None:
    opened(tmp_path).add(Ended(TRIALS[0], 0.5))
    assert opened(tmp_path, settings).made == (Ended(TRIALS[0], 0.5),)


def test_what_was_added_is_held_to_afterwards(tmp_path: Path) -> None:
    opened(tmp_path).add(Opened(4))
    larger = searching(tasks=["navigate", "coin_flip"])
    opened(tmp_path, larger).add(Ended(TRIALS[0], 0.5))
    with pytest.raises(SettingsError, match="the task coin_flip was"):
        opened(tmp_path, searching(tasks=["navigate", {"source": "coin_flip", "scorer": "exact"}]))


def test_a_trial_that_is_gone_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).add(Ended(TRIALS[9], 0.5))
    with pytest.raises(
        SettingsError, match="it has the trial navigate-p09-s0, and these settings have not"
    ):
        opened(tmp_path, trials=TRIALS[:8])


def test_before_the_first_decision_all_may_change_and_nothing_is_written(tmp_path: Path) -> None:
    opened(tmp_path)
    opened(tmp_path, changed(scheduler="median"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"{", b"[]\n", b'{"kind": "guessed"}\n', b"\xff\n"])
def test_a_damaged_record_is_refused(tmp_path: Path, damage: bytes) -> None:
    opened(tmp_path).add(Opened(4))
    (tmp_path / "decisions" / "000000.jsonl").write_bytes(damage)
    with pytest.raises(
        DataError, match=r"000000.jsonl .*; name another folder with --out, or delete"
    ):
        opened(tmp_path)


@pytest.mark.parametrize("lost", ["000000.jsonl", "settings.json"])
def test_a_record_with_a_hole_is_refused(tmp_path: Path, lost: str) -> None:
    first = opened(tmp_path)
    for decision in some(LINES + 1):
        first.add(decision)
    (tmp_path / "decisions" / lost).unlink()
    with pytest.raises(DataError, match="is missing"):
        opened(tmp_path)


def test_a_refused_search_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    prepare(searching(out=str(tmp_path))).decisions.add(Opened(4))
    before = (tmp_path / "settings.yaml").read_text()
    with pytest.raises(SettingsError, match=r"the setting search\.scheduler"):
        prepare(changed(scheduler="none").model_copy(update={"out": str(tmp_path)}))
    assert (tmp_path / "settings.yaml").read_text() == before
    assert prepare(ExperimentSettings.model_validate(yaml.safe_load(before))).decisions.made == (
        Opened(4),
    )


def test_without_a_search_nothing_is_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "000000.jsonl").write_text("{")
    assert prepare(searching(search=None, out=str(tmp_path))).decisions.made == ()
