"""What was recorded is there after any crash, the same to the last character."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import StorageError
from optimizer.types import Completion, Message, Request, Sampling
from serving.ledger import Ledger, key_of

ANY_TEXT = st.text(st.characters())  # lone surrogates too: endpoints send them
COMPLETIONS = st.builds(
    Completion, ANY_TEXT, st.booleans(), st.integers(0, 10**9), st.integers(0, 10**9),
    metadata=st.dictionaries(st.text(), st.text(), max_size=3))
Opener = Callable[[Path], Ledger]
KEYS = st.binary(min_size=32, max_size=32)


def request(text: str = "q", sample: int = 0, temperature: float = 0.0, max_tokens: int = 512) -> Request:
    return Request((Message("user", text),), Sampling(temperature, max_tokens), sample)


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens ledgers, as often as a test likes, and closes them behind it."""
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(closing(Ledger(folder)))


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
        ledger.close()
        again = Ledger(folder)
    assert len(again) == len(first)
    for digest, answer in first.items():
        read = again.get(digest)
        assert read is not None
        assert (read.text, read.truncated, read.prompt_tokens, read.completion_tokens, dict(read.metadata)) == (
            answer.text, answer.truncated, answer.prompt_tokens, answer.completion_tokens, dict(answer.metadata))
        assert read.from_ledger


def test_answers_are_on_disk_without_a_close(opened: Opener, tmp_path: Path) -> None:
    opened(tmp_path).append({key(1): Completion("kept")})
    assert opened(tmp_path).get(key(1)) == Completion("kept", from_ledger=True)


def test_a_torn_tail_costs_only_the_last_group(opened: Opener, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for number in range(5):
        ledger.append({key(number): Completion(f"answer {number}")})
    (segment,) = tmp_path.glob("*.arrows")
    whole = segment.read_bytes()
    for length in range(0, len(whole), 37):
        segment.write_bytes(whole[:length])
        found = [opened(tmp_path).get(key(number)) for number in range(5)]
        there = [answer is not None for answer in found]
        assert there == sorted(there, reverse=True)  # a beginning of what was written, without gaps
    segment.write_bytes(whole[:-1])
    torn = opened(tmp_path)
    assert len(torn) == 4
    assert torn.torn == [segment]


def test_writing_goes_on_beside_a_torn_segment(opened: Opener, tmp_path: Path) -> None:
    opened(tmp_path).append({key(1): Completion("one"), key(2): Completion("two")})
    (segment,) = tmp_path.glob("*.arrows")
    segment.write_bytes(segment.read_bytes()[:-9])
    opened(tmp_path).append({key(1): Completion("again")})
    assert opened(tmp_path).get(key(1)) == Completion("again", from_ledger=True)


def test_two_writers_do_not_disturb_each_other(opened: Opener, tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.append({key(1): Completion("a")})
    two.append({key(2): Completion("b")})
    one.append({key(3): Completion("c")})
    assert len(opened(tmp_path)) == 3


def test_the_first_answer_stands(opened: Opener, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.append({key(1): Completion("first")})
    ledger.append({key(1): Completion("second")})
    assert ledger.get(key(1)) == Completion("first")


def test_a_stray_file_is_passed_over(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "notes.arrows").write_text("not a segment")
    ledger = opened(tmp_path)
    ledger.append({key(1): Completion("fine")})
    assert len(ledger.torn) == 1
    assert len(opened(tmp_path)) == 1


def test_a_folder_that_cannot_be_used_is_a_storage_error(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be read"):
        opened(tmp_path / "file" / "ledger")


def test_a_folder_that_goes_away_is_a_storage_error_and_not_the_end(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = opened(folder)
    folder.rmdir()
    with pytest.raises(StorageError, match="cannot be written"):
        ledger.append({key(1): Completion("a")})
    assert ledger.get(key(1)) is None
    folder.mkdir()
    ledger.append({key(1): Completion("a")})
    assert len(opened(folder)) == 1


def test_the_key_depends_on_what_decides_an_answer() -> None:
    requests = [
        request(), request("other"), request(sample=1), request(temperature=0.5), request(max_tokens=9),
        Request((Message("system", "q"),)), Request((Message("user", "q"), Message("user", ""))), request("\ud800")]
    keys = {key_of(model, one) for model in ("a", "b") for one in requests}
    assert len(keys) == 2 * len(requests)
    assert key_of("a", Request(request().messages, purpose="test")) == key_of("a", request())
    assert key_of("a", request(temperature=0)) == key_of("a", request(temperature=0.0))
