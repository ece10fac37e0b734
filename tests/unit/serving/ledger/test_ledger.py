"""What was recorded is there after any crash, the same to the last character."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import StorageError
from optimizer.types import Completion, Message, Request
from serving.ledger import ENDING, SEGMENT_BYTES, Ledger, Paid, key_of
from serving.ledger.inspection import verify
from serving.ledger.schema import PackedAnswers, request_of, request_text
from serving.storage import open_folder
from tests.contracts.examples import examples
from tests.contracts.paid import MODEL, asked, entry, key

ROOT = Path(__file__).parents[4]
ANY_TEXT = st.text(st.characters())  # lone surrogates too: endpoints send them
COMPLETIONS = st.builds(
    Completion,
    ANY_TEXT,
    st.booleans(),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 2**63 - 1),
    metadata=st.dictionaries(st.text(), st.text(), max_size=3),
    cached_tokens=st.none() | st.integers(0, 10**9),
)
KEYS = st.binary(min_size=32, max_size=32)
REQUESTS = st.builds(
    Request,
    st.lists(st.builds(Message, st.sampled_from(["system", "user"]), ANY_TEXT), max_size=3).map(
        tuple
    ),
    sample=st.integers(0, 9),
    purpose=st.sampled_from(["learn", "test"]),
    raw=st.booleans(),
)
PAID = st.builds(Paid, COMPLETIONS, st.text(), REQUESTS)


def kept(place: str | Path) -> Ledger:
    return Ledger.read_only(place)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.dictionaries(KEYS, PAID, max_size=4), max_size=4))
def test_what_goes_in_comes_out_of_a_new_ledger(groups: list[dict[bytes, Paid]]) -> None:
    first: dict[bytes, Paid] = {}
    with TemporaryDirectory() as folder:
        with Ledger(folder) as ledger:
            for group in groups:
                ledger.append(group)
                first = {**group, **first}
        again = kept(folder)
    assert len(again) == len(first)
    for digest, paid in first.items():
        read, answer = again.get(digest), paid.answer
        assert read is not None
        assert replace(read, from_ledger=False) == answer
        assert (dict(read.metadata), read.cached_tokens) == (
            dict(answer.metadata),
            answer.cached_tokens,
        )
        assert read.from_ledger
        assert again.model_of(digest) == paid.model


@given(KEYS, PAID, PAID)
def test_an_answer_is_in_memory_what_it_was(digest: bytes, first: Paid, later: Paid) -> None:
    answers = PackedAnswers()
    answers.add(digest, first.model, first.answer)
    answers.add(digest, later.model, later.answer)
    found, answer = answers.get(digest), first.answer
    assert found is not None
    assert found == replace(answer, from_ledger=True)
    assert (dict(found.metadata), found.cached_tokens) == (
        dict(answer.metadata),
        answer.cached_tokens,
    )
    assert (answers.model_of(digest), digest in answers) == (first.model, True)
    missing = bytes(31)
    assert (answers.get(missing), answers.model_of(missing), len(answers)) == (None, "", 1)


@given(REQUESTS)
def test_a_request_is_told_in_full(request: Request) -> None:
    assert request_text(request).isascii()
    assert request_of(request_text(request)) == replace(request, purpose="learn")


def test_answers_are_there_without_a_close(any_place: str) -> None:
    ledger = Ledger(any_place)
    ledger.append(entry(1, "kept"))
    assert kept(any_place).get(key(1)) == ledger.get(key(1)) == Completion("kept", from_ledger=True)


def test_many_groups_make_few_segments(any_place: str) -> None:
    noise = "".join(
        map(chr, Random(0).choices(range(32, 10**5), k=SEGMENT_BYTES))
    )  # zstd makes nothing smaller of it
    with Ledger(any_place) as ledger:
        for number in range(40):
            ledger.append(entry(number, noise if number == 20 else f"answer {number}"))
    assert len(open_folder(any_place).names(ENDING)) == 2
    again = kept(any_place)
    assert len(again) == 40
    assert not again.torn


def test_a_writer_that_comes_back_begins_a_segment_of_its_own(any_place: str) -> None:
    for number in range(3):
        with Ledger(any_place) as ledger:
            ledger.append(entry(number, f"answer {number}"))
    assert [name.partition("-")[0] for name in open_folder(any_place).names(ENDING)] == [
        "000001",
        "000002",
        "000003",
    ]
    assert len(kept(any_place)) == 3


def test_a_torn_segment_costs_only_its_end(any_place: str) -> None:
    with Ledger(any_place) as ledger:
        for number in range(5):
            ledger.append(entry(number, f"answer {number}"))
    folder = open_folder(any_place)
    (segment,) = folder.names(ENDING)
    whole = folder.read(segment)
    for length in range(0, len(whole), 37 if folder.local else 500):
        folder.write(segment, whole[:length])
        torn = kept(any_place)
        there = [torn.get(key(number)) is not None for number in range(5)]
        assert there == sorted(there, reverse=True)  # a beginning of what was written, without gaps
        assert torn.torn == [segment]


def test_a_segment_without_its_end_is_reported_as_torn(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(entry(1, "one"))
    (segment,) = tmp_path.glob("*.arrows")
    segment.write_bytes(segment.read_bytes()[:-8])
    assert kept(tmp_path).torn == [segment.name]
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
def test_damage_in_the_middle_ends_no_program(tmp_path: Path) -> None:
    answers = {number: Completion(f"answer {number}" * 9, from_ledger=True) for number in range(4)}
    with Ledger(tmp_path) as ledger:
        for number, answer in answers.items():
            ledger.append(entry(number, answer))
    (segment,) = tmp_path.glob("*.arrows")
    whole = segment.read_bytes()
    for at in range(0, len(whole), 11):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        read = kept(tmp_path)
        assert read.torn or len(read) == len(answers)  # nothing is read beyond its bounds


def test_writing_goes_on_beside_a_torn_segment(any_place: str) -> None:
    with Ledger(any_place) as ledger:
        ledger.append(entry(1, "one") | entry(2, "two"))
    folder = open_folder(any_place)
    (segment,) = folder.names(ENDING)
    folder.write(segment, folder.read(segment)[:-17])
    with Ledger(any_place) as ledger:
        ledger.append(entry(1, "again"))
    assert kept(any_place).get(key(1)) == Completion("again", from_ledger=True)


def test_the_first_answer_stands(any_place: str) -> None:
    ledger = Ledger(any_place)
    ledger.append(entry(1, "first"))
    ledger.append(entry(1, "second"))
    assert ledger.get(key(1)) == Completion("first", from_ledger=True)


def test_a_reader_disturbs_no_writer_and_cannot_write(any_place: str) -> None:
    ledger = Ledger(any_place)
    ledger.append(entry(1, "a"))
    reader = kept(any_place)
    with pytest.raises(StorageError, match="reading only"):
        reader.append(entry(2, "b"))
    ledger.append(entry(2, "b"))
    assert (len(reader), len(kept(any_place))) == (1, 2)


def test_a_segment_from_before_cached_tokens_is_read(tmp_path: Path) -> None:
    columns = {
        "key": (pa.binary(32), key(1)),
        "text": (pa.binary(), b"old"),
        "truncated": (pa.bool_(), False),
        "prompt_tokens": (pa.int64(), 3),
        "completion_tokens": (pa.int64(), 2),
        "metadata": (pa.binary(), b"{}"),
    }
    schema = pa.schema(
        [pa.field(name, kind, nullable=False) for name, (kind, _) in columns.items()],
        metadata={"promptray_ledger": "1"},
    )
    with pa.ipc.new_stream(tmp_path / "000001-old.arrows", schema) as writer:
        writer.write_batch(
            pa.record_batch(
                [pa.array([value], kind) for kind, value in columns.values()], schema=schema
            )
        )
    with Ledger(tmp_path) as ledger:
        assert ledger.torn == []
        assert ledger.get(key(1)) == Completion("old", False, 3, 2, from_ledger=True)
        ledger.append(entry(2, Completion("new", cached_tokens=5)))
    again = kept(tmp_path)
    assert [getattr(again.get(key(number)), "cached_tokens", "") for number in (1, 2)] == [None, 5]
    assert [again.model_of(key(number)) for number in (1, 2)] == ["", MODEL]


def test_a_stray_file_is_passed_over(any_place: str) -> None:
    open_folder(any_place).write("notes.arrows", b"not a segment")
    with Ledger(any_place) as ledger:
        ledger.append(entry(1, "fine"))
        assert ledger.torn == ["notes.arrows"]
    assert len(kept(any_place)) == 1


def test_a_segment_says_what_was_asked_of_whom_and_when(tmp_path: Path) -> None:
    request = Request(
        (Message("system", "be brief"), Message("user", "\ud800 \u4f60")),
        sample=3,
        purpose="validate",
    )
    with Ledger(tmp_path) as ledger:
        ledger.append({key_of("m@1", request): Paid(Completion("yes"), "m@1", request)})
    (file,) = tmp_path.glob("*.arrows")
    (row,) = pa.ipc.open_stream(file).read_all().to_pylist()  # as any reader of Arrow files does
    assert (row["model"], row["purpose"]) == ("m@1", "validate")
    assert json.loads(row["request"]) == {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "\ud800 \u4f60"},
        ],
        "sampling": {"temperature": 0.0, "max_tokens": 512},
        "sample": 3,
        "raw": False,
    }
    assert timedelta(0) <= datetime.now(UTC) - row["recorded_at"] < timedelta(minutes=5)
    assert verify(open_folder(tmp_path)).faults == []


def test_a_folder_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not writable"):
        Ledger(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be read"):
        kept(tmp_path / "file")


def test_a_folder_that_goes_away_is_a_storage_error_and_not_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = Ledger(folder)
    shutil.rmtree(folder)
    folder.write_text("in its place")
    with pytest.raises(StorageError, match="cannot be written"):
        ledger.append(entry(1, "a"))
    assert ledger.get(key(1)) is None
    folder.unlink()
    ledger.append(entry(1, "a"))
    assert len(kept(folder)) == 1


def test_the_key_depends_on_what_decides_an_answer() -> None:
    requests = [
        asked(),
        asked("other"),
        asked(sample=1),
        asked(temperature=0.5),
        asked(max_tokens=9),
        asked(raw=True),
        Request((Message("system", "q"),)),
        Request((Message("user", "q"), Message("user", ""))),
        asked("\ud800"),
    ]
    keys = {key_of(model, one) for model in ("a", "b") for one in requests}
    assert len(keys) == 2 * len(requests)
    assert key_of("a", Request(asked().messages, purpose="test")) == key_of("a", asked())
    assert (
        key_of("builtin:x@1", asked()).hex()[:16] == "aef5cd597f6af836"
    )  # what older ledgers hold
    assert key_of("a", asked(temperature=0)) == key_of("a", asked(temperature=0.0))


@pytest.mark.process
def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_kept(any_place: str) -> None:
    writes = (
        "import sys; from serving.ledger import Ledger; from tests.contracts.paid import entry; "
        "from random import Random\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    ledger.append(entry(number, Random(number).randbytes(2500).hex()))\n"
        "    print(number, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", writes, any_place], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer, writer.stdout as said:
        for line in said:
            if int(line) >= 110:  # in the second segment
                writer.kill()
                break
        told = [int(line) for line in (line, *said)]
    assert len({name[:6] for name in open_folder(any_place).names(ENDING)}) == 2
    ledger = kept(any_place)
    assert not ledger.torn
    assert all(ledger.get(key(number)) for number in range(told[-1] + 1))
