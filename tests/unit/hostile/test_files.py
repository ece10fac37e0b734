"""Task files, settings and prompt files that mean harm: read as data, or refused in one sentence."""

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.config.labels import LONGEST_SLUG, labelled, slug
from cluster.config.task import TaskSettings as TaskOf
from optimizer.errors import DataError, UserError
from optimizer.prompt import Prompt
from optimizer.tasks.columns import Columns
from optimizer.tasks.files import read_source
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from serving.settings.validation import read_mapping
from tests.contracts import hostile
from tests.contracts.examples import examples

ROWS = [{"input": text, "target": f"a{place}"} for place, text in enumerate(hostile.ALL)]
DEEP = "[" * 100_000


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps({"examples": rows}))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, ["input", "target"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        plain = [
            {name: cell.encode("utf-8", "replace").decode() for name, cell in row.items()}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(plain), path)
    return path


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet"])
def test_hostile_inputs_are_read_as_they_are(tmp_path: Path, ending: str) -> None:
    found = [
        example.input for example in read_source(write(tmp_path / f"a.{ending}", ROWS)).examples
    ]
    kept = (
        (str, hostile.ALL)
        if ending.startswith("json")
        else (str, [text.encode("utf-8", "replace").decode() for text in hostile.ALL])
    )
    assert found == list(kept[1])


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_hostile_rows_are_put_into_templates_as_they_are(tmp_path: Path, ending: str) -> None:
    """Braces, references and formulas in data are never read as anything."""
    rows = [*ROWS, {"input": "{{target}} =1+1 {{item.input}} {0} $x", "target": "x"}]
    columns = Columns("<{{input}}|{{ target }}>", "{{target}}")
    plain = read_source(write(tmp_path / f"a.{ending}", rows))
    found = read_source(tmp_path / f"a.{ending}", columns=columns)
    assert [(one.input, one.answers) for one in found.examples] == [
        (f"<{one.input}|{one.answers[0]}>", one.answers) for one in plain.examples
    ]


def test_a_hostile_task_is_split_and_its_test_split_comes_back(tmp_path: Path) -> None:
    task = load_task(
        str(write(tmp_path / "a.jsonl", ROWS)), sizes=Sizes(5, 5, 5), seed=1, scorer="exact"
    )
    shown = {
        example.input for example in (*task.train, *task.dev, *task.test.single_reading().read())
    }
    assert len(shown) == 15
    assert shown <= set(hostile.ALL)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"examples": [{"input": "a", "target": "b"}'),
        ("a.json", DEEP),
        ("a.json", "{" * 5),
        ("a.json", "7"),
        ("a.json", '{"examples": 3}'),
        ("a.json", '{"examples": [1, null, "x", []]}'),
        ("a.json", "[" + "9" * 5000 + "]"),
        ("a.json", '[{"input": "a"}]'),
        ("a.json", '[{"input": {"x": 1}, "target": "b"}]'),
        ("a.json", "\x00\x01\x02"),
        ("a.json", ""),
        ("a.json", b"\xff\xfe\x00binary"),
        ("a.json", '{"examples": [{"input": "a", "target": NaN}]}'),
        ("a.jsonl", '{"input": "a", "target": ' + "9" * 5000 + "}"),
        ("a.jsonl", DEEP),
        ("a.jsonl", b"\x80\x81"),
        ("a.jsonl", "[1]\n2"),
        ("a.jsonl", "x" * 5_000_000),
        ("a.jsonl", '{"input": "' + "x" * 5_000_000),
        ("a.jsonl", "\n\n"),
        ("a.csv", "x" * 5_000_000),
        ("a.csv", b"\xff\xfe"),
        ("a.csv", "\x1b]0;t\x07,b\n1,2\n"),
        ("a.csv", 'input,target\n"a'),
        ("a.csv", "input\nx\n"),
        ("a.csv", "\x00"),
        ("a.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1"),
        ("a.parquet", b"x" * 5_000_000),
        ("a.parquet", b""),
    ],
)
def test_a_broken_file_is_one_short_sentence(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_source(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(path))


# The same bytes every time: about one in a thousand makes pyarrow 26 abort the process where it
# reads a column's size statistics, which nothing in Python can catch (the service reads uploads in
# processes of their own, see test_check_pool).
@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    derandomize=True,
)
@given(at=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.integers(0, 2000))
def test_a_parquet_file_with_a_wrong_byte_is_read_or_refused(
    tmp_path: Path, at: int, byte: int, cut: int
) -> None:
    path = write(tmp_path / "a.parquet", [{"input": f"q{n}", "target": "x"} for n in range(20)])
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(bytes(data[: len(data) - cut % len(data)] if cut % 3 == 0 else data))
    with suppress(UserError):
        read_source(path)


def test_parquet_columns_that_are_there_twice(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["input", "input", "target"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError):
        read_source(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 20_000,
        pytest.param("{" * 20_000, marks=pytest.mark.slow),
        "a: !!python/object/apply:os.abort []",
        "a: 2020-99-99",
        "\x00",
        "- x",
    ],
)
def test_a_hostile_settings_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(UserError):
        read_mapping(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [{"text": 3, "form": "text"}]},
        {"steps": [{"text": "a", "form": "odd"}]},
        {"steps": [{"text": "a", "form": []}]},
        {"steps": "abc"},
        {"demonstrations": [{"input": None, "response": "x"}]},
        {"steps": 5},
        {"steps": [["a"]]},
    ],
)
def test_a_prompt_of_wrong_types_is_no_prompt(change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Prompt.from_json(Prompt("x").to_json() | change)


@given(text=hostile.HOSTILE | st.text(min_size=60))
def test_any_label_gives_a_file_name(text: str) -> None:
    name = slug(text)
    assert 0 < len(name.encode()) <= LONGEST_SLUG
    assert Path(name).name == name
    assert slug(name) == name


def test_long_labels_stay_apart() -> None:
    entries = labelled(tuple(TaskOf(source="x", label="y" * 300 + end) for end in ("a", "b", "a")))
    assert len({slug(entry.label) for entry in entries}) == 3
