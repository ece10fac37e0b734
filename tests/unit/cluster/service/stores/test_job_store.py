"""The service's storage on every kind of file system: what was acknowledged is there, in order,
whatever was cut.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.service.core.job_record import Filed, Spent, State
from cluster.service.schemas import OptimizationRequest
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError
from serving.storage import open_folder
from serving.storage.journal import LINES, Journal, entries
from serving.storage.local import LocalFolder
from tests.contracts.examples import examples
from tests.unit.cluster.service.requests import request


class Failing(LocalFolder):
    """Fails at each fourth write, so that of an append to several files some are written and some
    are not.
    """

    writes = 0

    def write(self, name: str, data: bytes) -> None:
        type(self).writes += 1
        if type(self).writes % 4 == 0:
            raise StorageError("The disk is full.")
        super().write(name, data)


def test_entries_come_back_in_order_from_any_place(any_place: str) -> None:
    folder = open_folder(any_place)
    journal = Journal(folder)
    for number in range(0, 2 * LINES + 30, 23):
        journal.append([{"n": one} for one in range(number, number + 23)])
    total = len(journal)
    assert [entry["n"] for entry in entries(folder)] == list(range(total))
    assert [entry["n"] for entry in entries(folder, LINES - 1, 3)] == [LINES - 1, LINES, LINES + 1]
    assert entries(folder, total) == []
    again = Journal(folder)
    assert len(again) == total
    again.append([{"n": total}])
    assert entries(folder, total) == [{"n": total}]


@settings(deadline=None, max_examples=examples(20))
@given(groups=st.lists(st.integers(1, LINES + 50), max_size=6))
def test_an_append_that_failed_may_be_made_again(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int]
) -> None:
    folder = Failing(tmp_path_factory.mktemp("journal"))
    journal, expected = Journal(folder), list[int]()
    for size in groups:
        group = list(range(len(expected), len(expected) + size))
        failed = 0
        while True:
            try:
                journal.append([{"n": number} for number in group])
                break
            except StorageError:
                failed += 1
                assert failed < 3
        expected += group
    assert [entry["n"] for entry in entries(folder)] == expected


def test_a_lost_file_of_events_is_told_and_not_passed_over(tmp_path: Path) -> None:
    Journal(LocalFolder(tmp_path)).append([{"n": number} for number in range(LINES + 1)])
    (tmp_path / "000000.jsonl").unlink()
    with pytest.raises(DataError, match="missing"):
        Journal(LocalFolder(tmp_path))


def test_a_job_comes_back_as_it_was_filed_and_as_it_stood(any_place: str) -> None:
    store = Store(any_place)
    filed = Filed("opt-1", 1, "ann", 12, OptimizationRequest.model_validate(request()), "key")
    assert not store.has("opt-1")
    store.file_request(filed)
    assert store.has("opt-1")
    assert store.filed("opt-1") == filed
    assert store.state("opt-1") == State()
    state = State(
        "running",
        1,
        None,
        2,
        spent_by_trial={"t": Spent(3, 2, 1, {"learn": 5}, 0.5)},
        best_dev_accuracy=0.5,
    )
    store.save_state("opt-1", state.to_json())
    assert store.state("opt-1") == state
    assert state.usage(1.0).money == 0.5
    assert store.usage("2030-01-01") == {}
    store.save_usage("2030-01-01", {"ann": {"calls": 3, "money": 0.5}})
    assert store.usage("2030-01-01") == {"ann": {"calls": 3, "money": 0.5}}


def test_a_record_that_is_not_ours_is_told_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "optimizations" / "opt-1"
    folder.mkdir(parents=True)
    for text in ("no json", "[1]", '{"id": 3}'):
        (folder / "request.json").write_text(text)
        with pytest.raises(DataError):
            Store(str(tmp_path)).filed("opt-1")
