"""A journal whose bytes have changed, or whose end is missing: told, and never read as something
else.
"""

from pathlib import Path
from random import Random

import pytest

from optimizer.errors import DataError
from serving.storage.journal import LINES, Journal, entries
from serving.storage.local import LocalFolder

FLIPS = 200


def filled(path: Path) -> list[dict[str, object]]:
    rng = Random(3)
    said = [
        {
            "id": f"opt-{rng.randrange(10**6)}",
            "kind": "trial.started",
            "n": number,
            "data": {"share": rng.random()},
        }
        for number in range(LINES + 30)
    ]
    Journal(LocalFolder(path)).append(said)
    return said


@pytest.mark.slow
def test_of_200_bits_that_flip_none_changes_an_entry_in_silence(tmp_path: Path) -> None:
    said = filled(tmp_path)
    files = {path: path.read_bytes() for path in sorted(tmp_path.glob("*.jsonl"))}
    bits = [(path, bit) for path, data in files.items() for bit in range(8 * len(data))]
    silent = []
    for path, bit in Random(5).sample(bits, FLIPS):
        data = bytearray(files[path])
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            if entries(LocalFolder(tmp_path)) != said:
                silent.append((path.name, bit))
        except DataError:
            pass
        path.write_bytes(files[path])
    assert silent == []


def test_a_lost_file_in_the_middle_or_a_short_one_is_told_to_readers(tmp_path: Path) -> None:
    Journal(LocalFolder(tmp_path)).append([{"n": number} for number in range(2 * LINES + 5)])
    first, second = (tmp_path / f"00000{number}.jsonl" for number in (0, 1))
    whole = first.read_bytes()
    first.write_bytes(b"".join(whole.splitlines(keepends=True)[:-3]))
    with pytest.raises(DataError, match=r"000000\.jsonl"):
        entries(LocalFolder(tmp_path))
    with pytest.raises(DataError, match=r"000000\.jsonl"):
        entries(LocalFolder(tmp_path), after=10)
    first.write_bytes(whole)
    second.unlink()
    with pytest.raises(DataError, match="missing"):
        entries(LocalFolder(tmp_path))


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_writer_adds_nothing_behind_a_torn_line(tmp_path: Path, cut: int) -> None:
    filled(tmp_path)
    last = tmp_path / "000001.jsonl"
    last.write_bytes(last.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"000001\.jsonl"):
        Journal(LocalFolder(tmp_path)).append([{"n": "new"}])


def test_lines_from_before_have_no_checksum_and_are_read_and_added_to(tmp_path: Path) -> None:
    (tmp_path / "000000.jsonl").write_text('{"n": 0}\n{"n": 1}\n')
    Journal(LocalFolder(tmp_path)).append([{"n": 2}, {}])
    assert entries(LocalFolder(tmp_path)) == [{"n": 0}, {"n": 1}, {"n": 2}, {}]
