"""Task files that mean gigabytes: refused in one sentence before they take the memory, whoever
reads them.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimizer.errors import DataError
from optimizer.json_values import MOST_DEEP
from optimizer.tasks.bounds import ReadLimits
from optimizer.tasks.columns import Columns
from optimizer.tasks.files import READERS, Reading, Source, read_source
from tests.contracts.bombs import BOMBS

LIMITS = ReadLimits(
    file_bytes=64 * 2**20,
    piece_bytes=64 * 2**20,
    rows=500_000,
    cell_characters=1_000_000,
    characters=32 * 2**20,
    values=5_000_000,
)
MOST_MB = 250
"""A file's own bytes, its text and some columns of numbers: what reading honest files of these
limits takes, too.
"""
READ = """
import resource, sys
from pathlib import Path
import pyarrow.parquet
from optimizer.errors import DataError
from optimizer.tasks.files import read_source
from tests.unit.hostile.test_bombs import LIMITS
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_source(Path(path), LIMITS)
    except DataError as problem:
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000, problem)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_a_sentence_that_says_what_is_too_much(
    tmp_path: Path, name: str
) -> None:
    BOMBS[name](tmp_path / name)
    with pytest.raises(
        DataError, match=r"has more than [\d,]+ .*; make it smaller, or split it\.$"
    ):
        read_source(tmp_path / name, LIMITS)


@pytest.mark.process
def test_bombs_take_little_memory(tmp_path: Path) -> None:
    names = (
        "repeated_text.parquet",
        "large_texts_in_lists.parquet",
        "empty_lists.json",
        "prefix.json",
    )
    paths = [tmp_path / name for name in names]
    for path in paths:
        BOMBS[path.name](path)
    read = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=True,
    )
    took = read.stdout.splitlines()
    assert len(took) == len(paths)
    assert all(int(line.split()[0]) < MOST_MB for line in took), took


@pytest.mark.parametrize(
    "limits", [{"rows": 99}, {"cell_characters": 5}, {"characters": 1000}, {"file_bytes": 500}]
)
@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "tsv", "parquet"])
def test_every_limit_holds_for_every_form(
    tmp_path: Path, ending: str, limits: dict[str, int]
) -> None:
    rows = [{"input": f"input {number}", "target": f"target {number}"} for number in range(100)]
    path = tmp_path / f"a.{ending}"
    path.write_bytes(_written(ending, rows))
    assert len(read_source(path).examples) == 100
    with pytest.raises(DataError, match="has more than"):
        read_source(path, ReadLimits(**limits))


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 1),
        pa.list_(pa.int64()),
    ],
    ids=str,
)
def test_every_plain_kind_of_column_is_read_as_before(tmp_path: Path, kind: pa.DataType) -> None:
    values = (
        [[0], [1]]
        if pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        else [0, 1]
    )
    target = (
        pa.array(values)
        .cast(pa.list_(pa.string()) if isinstance(values[0], list) else pa.string())
        .to_pylist()
    )
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or kind == pa.list_(pa.int64())
    ):
        target = values
    column = pa.array([bool(one) for one in target] if pa.types.is_boolean(kind) else target, kind)
    pq.write_table(pa.table({"input": ["a", "b"], "target": column}), tmp_path / "a.parquet")
    wanted = {pa.float64(): ["0.0", "1.0"], pa.bool_(): ["False", "True"]}.get(kind, ["0", "1"])
    assert [example.answers for example in read_source(tmp_path / "a.parquet").examples] == [
        (one,) for one in wanted
    ]


def test_a_column_of_bytes_is_refused(tmp_path: Path) -> None:
    for value in (b"a", [b"a"], {"x": b"a"}):
        pq.write_table(pa.table({"input": ["a"], "target": [value]}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="must be of texts, numbers or lists of them"):
            read_source(tmp_path / "a.parquet")


def test_what_is_nested_is_counted_before_it_is_unpacked(tmp_path: Path) -> None:
    texts = pa.array(["x" * 1000] * 2).take(pa.array([0] * 60_000))
    deep = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    row = pa.StructArray.from_arrays([deep], ["deep"])
    pq.write_table(pa.table({"a": ["x"], "b": row}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    for columns in (Columns("a", "b.deep.0"), Columns("{{a}} {{b.deep}}", "a")):
        with pytest.raises(DataError, match="has more than"):
            read_source(tmp_path / "a.parquet", LIMITS, columns)


def test_a_large_column_that_nobody_names_is_no_part_of_the_row(tmp_path: Path) -> None:
    texts = pa.array(["x" * 40_000_000])
    table = pa.table({"input": ["a"], "target": ["b"], "large": texts, "note": ["c"]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    source = read_source(tmp_path / "a.parquet", LIMITS)
    assert source.rows_at is not None
    assert source.rows_at([1]) == {1: {"input": "a", "target": "b", "note": "c"}}


def test_a_row_that_says_one_large_text_often_is_refused(tmp_path: Path) -> None:
    packed = pa.DictionaryArray.from_arrays(
        pa.array([0] * 100, pa.int32()), pa.array(["x" * 900_000])
    )
    table = pa.table({"input": [f"q{n}" for n in range(100)], "target": ["b"] * 100, "n": packed})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    source = read_source(tmp_path / "a.parquet", LIMITS)
    assert source.rows_at is not None
    assert len(source.rows_at([1, 2])) == 2
    with pytest.raises(DataError, match="has more than"):
        source.rows_at(range(1, 101))


def test_a_row_of_many_columns(tmp_path: Path) -> None:
    names = ["input", "target", *(f"c{n}" for n in range(5000))]
    line = ",".join(["a", "b", *("x" * 5000)])
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + line + "\n")
    source = read_source(tmp_path / "a.csv", LIMITS)
    assert source.rows_at is not None
    assert len(source.rows_at([1])[1]) == 5002
    with pytest.raises(DataError) as caught:
        read_source(tmp_path / "a.csv", LIMITS, Columns("inptu", "target"))
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("depth", [50, 300, 900])
def test_what_is_nested_too_deep_is_no_part_of_the_row(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    row = f'{{"input": "a", "target": "b", "more": {deep}}}'
    (tmp_path / "a.jsonl").write_text(row)
    source = read_source(tmp_path / "a.jsonl")
    assert source.rows_at is not None
    assert set(source.rows_at([1])[1]) == (
        {"input", "target", "more"} if depth == 50 else {"input", "target"}
    )
    if depth > MOST_DEEP:
        for columns in (Columns("input", "more"), Columns("{{more}}", "target")):
            with pytest.raises(DataError, match=r"Example 1 of .* is nested too deep"):
                read_source(tmp_path / "a.jsonl", columns=columns)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_machine_ends_them(tmp_path: Path, ends: str) -> None:
    (tmp_path / "a.csv").write_bytes(
        ends.join(["input,target", '"x, y",1', "", "z,2", ""]).encode()
    )
    (tmp_path / "a.jsonl").write_bytes(
        ends.join(['{"input": "x, y", "target": 1}', "", '{"input": "z", "target": 2}']).encode()
    )
    for name in ("a.csv", "a.jsonl"):
        assert [(one.input, one.answers) for one in read_source(tmp_path / name).examples] == [
            ("x, y", ("1",)),
            ("z", ("2",)),
        ]


def test_a_wrong_byte_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    for name, head in (
        ("a.csv", b"input,target\na,b\n"),
        ("a.jsonl", b'{"input": "a", "target": "b"}\n'),
    ):
        (tmp_path / name).write_bytes(head + b"ab\xff")
        with pytest.raises(DataError, match=rf"not UTF-8 text \(byte {len(head) + 2}\)"):
            read_source(tmp_path / name)


def _written(ending: str, rows: list[dict[str, str]]) -> bytes:
    if ending == "json":
        return json.dumps(rows).encode()
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if ending in ("csv", "tsv"):
        cells = [["input", "target"], *([row["input"], row["target"]] for row in rows)]
        between = "," if ending == "csv" else "\t"
        return "".join(between.join(row) + "\n" for row in cells).encode()
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def test_memory_that_is_not_there_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(path: Path, reading: Reading) -> Source:
        raise MemoryError

    (tmp_path / "a.csv").write_text("input,target\na,b\n")
    monkeypatch.setitem(READERS, ".csv", greedy)
    with pytest.raises(
        DataError, match="needs more memory than there is; make it smaller, or split it"
    ):
        read_source(tmp_path / "a.csv")
