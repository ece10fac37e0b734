"""What a ledger says of itself, and what keeps it small: usage, merging when opened, verify,
export, prune.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from optimizer.errors import SettingsError
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Message, Request
from serving.ledger import ENDING, Ledger, Paid, compaction
from serving.ledger.cached_model import CachedModel
from serving.ledger.compaction import MOST_SMALL, older_than, prune, repair
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.export import export
from serving.ledger.format import batch_of, contents, whole
from serving.ledger.inspection import Held, summary, verify
from serving.ledger.usage import EVERY_S, USAGE_FILE, UsageCounter, Use, read_usage
from serving.storage import open_folder
from tests.contracts.crashing_folder import CrashingFolder, Disk, no_hold
from tests.contracts.paid import MODEL, asked, entry, key


def answer(request: Request) -> Completion:
    return Completion(request.messages[0].content, False, 10, 3)


async def test_the_usage_goes_on_from_run_to_run(any_place: str) -> None:
    for _ in range(3):
        shared = LedgerCoordinator(Ledger(any_place))
        model = CachedModel(ScriptedModel(answer, name=MODEL), shared)
        await model.complete([asked("a"), asked("b"), asked("a")])
        shared.close()
    assert read_usage(open_folder(any_place)) == {MODEL: Use(2, 20, 6, 4, 40, 12)}


def test_a_usage_is_written_now_and_then_and_a_full_disk_is_no_fault() -> None:
    now = [0.0]
    folder = CrashingFolder(Disk(atomic=True))
    usage = UsageCounter(folder, lambda: now[0])
    usage.hit("m", Completion("a", False, 7, 2))
    assert not usage.due
    now[0] += EVERY_S
    assert usage.due
    folder.disk.full = True
    usage.save()
    folder.disk.full = False
    assert not usage.due
    usage.hit("m", Completion("a", False, 7, 2))
    usage.save()
    assert read_usage(folder) == {
        "m": Use(hits=2, saved_prompt_tokens=14, saved_completion_tokens=4)
    }
    folder.write(USAGE_FILE, b'{"models": {"m": ')
    assert read_usage(folder) == {}


async def test_answers_that_a_full_disk_refused_are_written_later(
    tmp_path: Path,
) -> None:
    folder = CrashingFolder(Disk(atomic=True))
    shared = LedgerCoordinator(Ledger(folder))
    model = ScriptedModel(answer, name=MODEL)
    folder.disk.full = True
    failed = await asyncio.gather(
        *(CachedModel(model, shared).complete([asked(text)]) for text in "ab"),
        return_exceptions=True,
    )
    assert [str(problem) for problem in failed] == [str(failed[0])] * 2
    assert "no space left" in str(failed[0])
    folder.disk.full = False
    await CachedModel(model, shared).complete([asked("c")])
    shared.close()
    assert len(Ledger.read_only(folder)) == 3
    assert (await shared.counts()).paid == 3


@pytest.mark.slow
def test_a_ledger_of_many_small_segments_is_merged_when_it_is_opened(any_place: str) -> None:
    most = MOST_SMALL if "://" not in any_place else 5  # each opening lists and reads them all
    for number in range(most):
        with Ledger(any_place, most_small=most) as ledger:
            ledger.append(entry(0, f"not the first {number}") | entry(number, f"answer {number}"))
    folder = open_folder(any_place)
    assert len(folder.names(ENDING)) == most
    Ledger(any_place, most_small=most).close()
    assert len(folder.names(ENDING)) == 1
    again = Ledger.read_only(any_place)
    assert [again.get(key(number)) for number in range(most)] == [
        Completion(f"answer {number}", from_ledger=True) for number in range(most)
    ]
    assert verify(folder).faults == []


def filled(segments: int, rows: int) -> CrashingFolder:
    """Return a ledger of so many segments; the last entry of each is in the next one too, as another."""
    folder = CrashingFolder(Disk(atomic=True))
    for number in range(segments):
        with Ledger(folder, take=no_hold, most_small=segments + 1) as ledger:
            begin = number * rows
            group = [entry(at, f"answer {at}") for at in range(begin, begin + rows)]
            ledger.append({key: paid for one in group for key, paid in one.items()})
    again = "000001-x.a" + ENDING
    folder.write(again, whole([batch_of(entry(0, "another"), datetime.now(UTC))]))
    return folder


def test_many_segments_are_merged_into_several_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compaction, "_ROWS", 4)
    folder = filled(segments=20, rows=5)
    size = len(folder.read(folder.names(ENDING)[0]))
    monkeypatch.setattr(compaction, "LARGE_BYTES", 4 * size)
    repair(folder)
    names = folder.names(ENDING)
    assert 3 <= len(names) <= 7
    batches = [batch for name in names for batch in contents(folder.read(name)).batches]
    assert len(batches) < 20 * 5 / 4
    found = verify(folder)
    assert (found.entries, found.repeated, found.faults) == (100, 0, [])
    read = Ledger.read_only(folder)
    assert [answer.text for at in range(100) if (answer := read.get(key(at)))] == [
        f"answer {at}" for at in range(100)
    ]
    for _ in range(5):
        names = folder.names(ENDING)
        repair(folder)
        spared = len(names) - len(folder.names(ENDING))
        assert spared > 0 or folder.names(ENDING) == names, "it was written anew for nothing"
    assert folder.names(ENDING) == names


def test_verify_finds_what_is_wrong(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(entry(1, "fine"))
    with Ledger(tmp_path) as ledger:
        ledger.append({b"k" * 32: Paid(Completion("x"), MODEL, asked("2"))})
    wrong = tmp_path / open_folder(tmp_path).names(ENDING)[-1]
    with Ledger(tmp_path) as ledger:
        ledger.append(entry(3, "torn"))
    torn = tmp_path / open_folder(tmp_path).names(ENDING)[-1]
    torn.write_bytes(torn.read_bytes()[:-20])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "other.arrows").write_text("mine")
    found = verify(open_folder(tmp_path))
    assert (found.segments, found.entries) == (4, 2)
    assert [fault.partition(" ")[0] for fault in found.faults] == [
        "notes.txt",
        wrong.name,
        torn.name,
        "other.arrows",
    ]
    repair(open_folder(tmp_path))
    left = verify(open_folder(tmp_path)).faults
    assert [fault.endswith("not the hash of their request.") for fault in left] == [
        False,
        True,
        False,
    ]
    assert not any("torn" in fault for fault in left)


def test_old_answers_are_taken_out_and_those_without_a_time_stay(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(entry(1, "a") | entry(2, "b"))
    assert prune(open_folder(tmp_path), older_than(datetime.now(UTC) - timedelta(hours=1))) == 0
    assert prune(open_folder(tmp_path), older_than(datetime.now(UTC) + timedelta(hours=1))) == 2
    assert open_folder(tmp_path).names(ENDING) == []


def test_a_summary_counts_by_model(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(
            entry(1, Completion("a", False, 5, 1))
            | entry(1, Completion("b", False, 7, 2), "other@1")
        )
        ledger.append(entry(2, Completion("c", False, 5, 1)))
    found = summary(open_folder(tmp_path))
    assert (found.entries, found.segments) == (3, 1)
    assert found.held_by_model == {MODEL: Held(2, 10, 2), "other@1": Held(1, 7, 2)}
    assert found.first_recorded <= found.last_recorded <= datetime.now(UTC)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_an_export_has_a_row_an_answer(any_place: str, tmp_path: Path, kind: str) -> None:
    odd = Request((Message("user", "\ud800 \u4f60"),), sample=2, purpose="test", raw=True)
    with Ledger(any_place) as ledger:
        ledger.append(
            entry(
                1, Completion("\udfff yes", True, 5, 1, cached_tokens=3, metadata={"engine": "x"})
            )
        )
        ledger.append({b"k" * 32: Paid(Completion("no"), "other@1", odd)})
    file = tmp_path / f"answers.{kind}"
    assert export(open_folder(any_place), str(file)) == 2
    rows = (
        pq.read_table(file).to_pylist()
        if kind == "parquet"
        else [json.loads(line) for line in file.read_text().splitlines()]
    )
    assert [row["model"] for row in rows] == [MODEL, "other@1"]
    assert json.loads(rows[0]["messages"]) == [{"role": "user", "content": "1"}]
    assert (rows[0]["text"], rows[0]["truncated"], rows[0]["cached_tokens"]) == (
        "\\udfff yes",
        True,
        3,
    )
    assert (rows[1]["purpose"], rows[1]["sample"], rows[1]["raw"], rows[1]["max_tokens"]) == (
        "test",
        2,
        True,
        512,
    )
    assert "\u4f60" in rows[1]["messages"]
    assert str(rows[1]["recorded_at"]).startswith("20")


def test_an_export_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.parquet or \.jsonl"):
        export(open_folder(tmp_path), "answers.csv")


@pytest.mark.parametrize(
    "_", range(20)
)  # the names of segments are random, and nothing may hang on them
def test_two_writers_by_mistake_lose_nothing_and_the_first_answer_stands(_: int) -> None:
    """As a lease cannot rule out: both write segments of their own, and one merges those of the
    other while that goes on.
    """
    folder = CrashingFolder(Disk(atomic=True))
    one, two = (Ledger(folder, take=no_hold) for _ in range(2))
    one.append(entry(1, "a"))
    two.append(entry(2, "b"))
    one.append(entry(3, "c"))
    repair(folder)
    one.append(entry(2, "too late"))
    one.append(entry(4, "d"))
    two.append(entry(5, "e"))
    read = Ledger.read_only(folder)
    answers = [read.get(key(number)) for number in range(1, 6)]
    assert [answer.text for answer in answers if answer] == ["a", "b", "c", "d", "e"]
    assert verify(folder).faults == []
