"""What was recorded is there after any crash, the same to the last character."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import StorageError
from optimizer.types import Completion, Message, Request, Sampling
from serving.ledger import SEGMENT_BYTES, Ledger, key_of
from serving.storage import open_folder

ROOT = Path(__file__).parents[2]
ANY_TEXT = st.text(st.characters())  # lone surrogates too: endpoints send them
COMPLETIONS = st.builds(
    Completion, ANY_TEXT, st.booleans(), st.integers(0, 10**9), st.integers(0, 10**9),
    metadata=st.dictionaries(st.text(), st.text(), max_size=3), cached_tokens=st.none() | st.integers(0, 10**9))
KEYS = st.binary(min_size=32, max_size=32)


def request(text: str = "q", sample: int = 0, temperature: float = 0.0, max_tokens: int = 512) -> Request:
    return Request((Message("user", text),), Sampling(temperature, max_tokens), sample)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(KEYS, COMPLETIONS, max_size=4), max_size=4))
def test_what_goes_in_comes_out_of_a_new_ledger(groups: list[dict[bytes, Completion]]) -> None:
    first: dict[bytes, Completion] = {}
    with TemporaryDirectory() as folder:
        ledger = Ledger(folder)
        for group in groups:
            ledger.append(group)
            first = {**group, **first}
        again = Ledger(folder)
    assert len(again) == len(first)
    for digest, answer in first.items():
        read = again.get(digest)
        assert read is not None
        assert replace(read, from_ledger=False) == answer
        assert (dict(read.metadata), read.cached_tokens) == (dict(answer.metadata), answer.cached_tokens)
        assert read.from_ledger


def test_answers_are_there_without_a_close(any_place: str) -> None:
    Ledger(any_place).append({key(1): Completion("kept")})
    assert Ledger(any_place).get(key(1)) == Completion("kept", from_ledger=True)


def test_many_groups_make_few_segments(any_place: str) -> None:
    ledger = Ledger(any_place)
    for number in range(40):
        ledger.append({key(number): Completion("x" * SEGMENT_BYTES) if number == 20 else Completion(f"answer {number}")})
    assert len(open_folder(any_place).names()) == 2
    again = Ledger(any_place)
    assert len(again) == 40
    assert not again.torn


def test_a_writer_that_comes_back_begins_a_segment_of_its_own(any_place: str) -> None:
    for number in range(3):
        Ledger(any_place).append({key(number): Completion(f"answer {number}")})
    assert [name.partition("-")[0] for name in open_folder(any_place).names()] == ["000001", "000002", "000003"]
    assert len(Ledger(any_place)) == 3


def test_a_torn_segment_costs_only_its_end(any_place: str) -> None:
    ledger = Ledger(any_place)
    for number in range(5):
        ledger.append({key(number): Completion(f"answer {number}")})
    folder = open_folder(any_place)
    (segment,) = folder.names()
    whole = folder.read(segment)
    for length in range(0, len(whole), 37 if folder.local else 500):
        folder.write(segment, whole[:length])
        torn = Ledger(any_place)
        there = [torn.get(key(number)) is not None for number in range(5)]
        assert there == sorted(there, reverse=True)  # a beginning of what was written, without gaps
        assert all(there) or torn.torn == [segment]


def test_writing_goes_on_beside_a_torn_segment(any_place: str) -> None:
    Ledger(any_place).append({key(1): Completion("one"), key(2): Completion("two")})
    folder = open_folder(any_place)
    (segment,) = folder.names()
    folder.write(segment, folder.read(segment)[:-17])
    Ledger(any_place).append({key(1): Completion("again")})
    assert Ledger(any_place).get(key(1)) == Completion("again", from_ledger=True)


def test_two_writers_do_not_disturb_each_other(any_place: str) -> None:
    one, two = Ledger(any_place), Ledger(any_place)
    one.append({key(1): Completion("a")})
    two.append({key(2): Completion("b")})
    one.append({key(3): Completion("c")})
    assert len(Ledger(any_place)) == 3


def test_the_first_answer_stands(any_place: str) -> None:
    ledger = Ledger(any_place)
    ledger.append({key(1): Completion("first")})
    ledger.append({key(1): Completion("second")})
    assert ledger.get(key(1)) == Completion("first")


def test_a_segment_from_before_cached_tokens_is_read(tmp_path: Path) -> None:
    columns = {
        "key": (pa.binary(32), key(1)), "text": (pa.binary(), b"old"), "truncated": (pa.bool_(), False),
        "prompt_tokens": (pa.int64(), 3), "completion_tokens": (pa.int64(), 2), "metadata": (pa.binary(), b"{}")}
    schema = pa.schema(
        [pa.field(name, kind, nullable=False) for name, (kind, _) in columns.items()], metadata={"promptray_ledger": "1"})
    with pa.ipc.new_stream(tmp_path / "000001-old.arrows", schema) as writer:
        writer.write_batch(pa.record_batch([pa.array([value], kind) for kind, value in columns.values()], schema=schema))
    ledger = Ledger(tmp_path)
    assert ledger.torn == []
    assert ledger.get(key(1)) == Completion("old", False, 3, 2, from_ledger=True)
    ledger.append({key(2): Completion("new", cached_tokens=5)})
    again = Ledger(tmp_path)
    assert [getattr(again.get(key(number)), "cached_tokens", "") for number in (1, 2)] == [None, 5]


def test_a_stray_file_is_passed_over(any_place: str) -> None:
    open_folder(any_place).write("notes.arrows", b"not a segment")
    ledger = Ledger(any_place)
    ledger.append({key(1): Completion("fine")})
    assert ledger.torn == ["notes.arrows"]
    assert len(Ledger(any_place)) == 1


def test_a_folder_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be read"):
        Ledger(tmp_path / "file")


def test_a_folder_that_goes_away_is_a_storage_error_and_not_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = Ledger(folder)
    folder.write_text("in its place")
    with pytest.raises(StorageError, match="cannot be written"):
        ledger.append({key(1): Completion("a")})
    assert ledger.get(key(1)) is None
    folder.unlink()
    ledger.append({key(1): Completion("a")})
    assert len(Ledger(folder)) == 1


def test_the_key_depends_on_what_decides_an_answer() -> None:
    requests = [
        request(), request("other"), request(sample=1), request(temperature=0.5), request(max_tokens=9),
        Request(request().messages, raw=True), Request((Message("system", "q"),)),
        Request((Message("user", "q"), Message("user", ""))), request("\ud800")]
    keys = {key_of(model, one) for model in ("a", "b") for one in requests}
    assert len(keys) == 2 * len(requests)
    assert key_of("a", Request(request().messages, purpose="test")) == key_of("a", request())
    assert key_of("builtin:x@1", request()).hex()[:16] == "aef5cd597f6af836"  # what older ledgers hold
    assert key_of("a", request(temperature=0)) == key_of("a", request(temperature=0.0))


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_kept(any_place: str) -> None:
    writes = (
        "import sys; from optimizer.types import Completion; from serving.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    ledger.append({number.to_bytes(32, 'big'): Completion('x' * 5000)})\n"
        "    print(number, flush=True)\n")
    writer = subprocess.Popen([sys.executable, "-c", writes, any_place], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer, writer.stdout as said:
        for line in said:
            if int(line) >= 70:  # in the second segment
                writer.kill()
                break
        kept = [int(line) for line in (line, *said)]
    ledger = Ledger(any_place)
    assert not ledger.torn
    assert all(ledger.get(key(number)) for number in range(kept[-1] + 1))
