"""Every form of task file, good and faulty. A fault is one sentence that names the file."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from optimizer.errors import DataError
from optimizer.tasks.files import Source, read_source

GOOD = [{"input": "1+1", "target": "2"}, {"input": "2+2", "target": ["4", "four"]}]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(source: Source) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.input, example.answers) for example in source.examples]


def test_all_forms_give_the_same_examples(tmp_path: Path) -> None:
    wanted = [("1+1", ("2",)), ("2+2", ("4", "four"))]
    table = pyarrow.table(
        {"input": ["1+1", "2+2"], "target": [["2"], ["4", "four"]], "more": [1, 2]}
    )
    pyarrow.parquet.write_table(table, tmp_path / "sums.parquet")
    paths = [
        write(tmp_path / "sums.json", {"canary": "x", "examples": GOOD}),
        write(tmp_path / "list.json", GOOD),
        write(tmp_path / "sums.jsonl", "\n".join(map(json.dumps, GOOD)) + "\n\n"),
        tmp_path / "sums.parquet",
    ]
    assert [read(read_source(path)) for path in paths] == [wanted] * 4
    assert [example.id for example in read_source(paths[0]).examples] == ["sums/1", "sums/2"]


def test_csv_with_quotes_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_bytes(
        '\ufeffinput,target,note\r\n"say ""hi"",\r\ntwice",hi,x\r\n7,8,\r\n'.encode()
    )
    assert read(read_source(tmp_path / "a.CSV")) == [('say "hi",\r\ntwice', ("hi",)), ("7", ("8",))]


def test_numbers_and_booleans_as_targets(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '{"input": "a", "target": 3}\n{"input": "b", "target": true}\n{"input": "c", "target": 0}',
    )
    assert [answers for _, answers in read(read_source(path))] == [("3",), ("True",), ("0",)]


def test_big_bench_prefix_scores_and_choices(tmp_path: Path) -> None:
    task = {
        "name": "odd",
        "description": "Odd?",
        "task_prefix": "Is it odd?",
        "append_choices_to_input": False,
        "examples": [
            {"input": "3", "target_scores": {"Yes": 1, "No": 0}},
            {"input": "4", "target_scores": {"Yes": 0, "No": 1}},
        ],
    }
    source = read_source(write(tmp_path / "task.json", task))
    assert (source.name, source.description) == ("odd", "Odd?")
    assert read(source) == [("Is it odd? 3", ("Yes",)), ("Is it odd? 4", ("No",))]
    assert {example.choices for example in source.examples} == {("Yes", "No")}


def test_big_bench_appends_the_choices_unless_told_not_to(tmp_path: Path) -> None:
    task = {
        "examples": [{"input": "Pick.", "target_scores": {"red": 0.5, "blue": 1.0, "green": 1.0}}]
    }
    (tmp_path / "colours").mkdir()
    source = read_source(write(tmp_path / "colours" / "task.json", task))
    assert source.name == "colours"
    assert read(source) == [("Pick.\nOptions:\n(A) red\n(B) blue\n(C) green", ("blue", "green"))]


def test_options_of_an_input_are_its_choices(tmp_path: Path) -> None:
    rows = [
        {"input": "Well?\nOptions:\n- valid \n- invalid", "target": "valid"},
        {"input": "When?\nOptions:\n(A) now\n(B) then", "target": "(B)"},
        {"input": "Options: none", "target": "x"},
    ]
    source = read_source(write(tmp_path / "a.json", rows))
    assert [example.choices for example in source.examples] == [
        ("valid", "invalid"),
        ("(A) now", "(B) then"),
        (),
    ]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", "x", "must end in .json, .jsonl, .csv, .parquet"),
        ("a.json", "{broken", "is not JSON: .*line 1, column 2"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "{}", "no list called 'examples'"),
        ("a.json", '"text"', "no list called 'examples'|no examples"),
        ("a.json", {"examples": []}, "has no examples"),
        ("a.jsonl", "", "has no examples"),
        ("a.jsonl", '{"input": "a", "target": "b"}\nnope\n', "Line 2 of .* is not JSON"),
        ("a.csv", "", "has no examples"),
        ("a.csv", "input,target\n", "has no examples"),
        ("a.csv", "question,target\n1,2\n", "has no column input; it has: question, target"),
        ("a.csv", "question,answer\n1,2\n", "has no column input and no column target"),
        (
            "a.json",
            [{"input": "a", "target": "b"}, {"input": "a"}],
            "without an answer: number 2; give each a target",
        ),
        ("a.json", [{"input": "a", "target": ""}] * 9, "number 1, 2, 3, 4, 5 and 4 more"),
        ("a.json", [{"input": "a", "target": []}], "without an answer: number 1"),
        ("a.json", [{"input": {"no": 1}, "target": "b"}], "whose input is a mapping: number 1"),
        ("a.json", [{"input": ["a"], "target": "b"}], "whose input is a list: number 1"),
        (
            "a.json",
            [{"input": "a", "target_scores": {"x": 0, "y": 0}}],
            "without an answer: number 1",
        ),
        ("a.json", [{"target": "b"}], "has no column input; it has: target"),
        ("a.json", [1, 2], "without an input: number 1, 2"),
        ("a.csv", "input,target\na,b\nc\n", "has 1 field in line 3 under 2 headings"),
        ("a.csv", "input,target\na,b\n\nc, d,e\n", "has 3 fields in line 4 under 2 headings"),
        ("a.csv", "input,target,target\na,b,c\n", "more than one column called target"),
        (
            "a.csv",
            'input,target\n"Is \\"it, so\\"?",b\n',
            "in line 2, or in the row that begins there, a quote",
        ),
        (
            "a.csv",
            'input,target\n"What?,b\nc,d\n"What?,e\n',
            "in line 2, or in the row that begins there, a quote",
        ),
        (
            "a.csv",
            'input,target\nx,y\n"What?,b\nc,d\n',
            "in line 3, or in the row that begins there, a quote",
        ),
        ("a.csv", "input,target,choices\na,b,b;c\n", "choices that are no list of texts"),
        ("a.parquet", "no parquet", "is not a parquet file"),
    ],
)
def test_faults_are_named_in_one_sentence(
    tmp_path: Path, name: str, content: Any, sentence: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=sentence) as caught:
        read_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_without_its_columns(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"input": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column target; it has: input"):
        read_source(tmp_path / "a.parquet")


def test_parquet_with_empty_cells(tmp_path: Path) -> None:
    table = pyarrow.table({"input": ["a", "b", "c"], "target": [1.0, None, float("nan")]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="number 2, 3"):
        read_source(tmp_path / "a.parquet")


def test_missing_files_folders_and_foreign_bytes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no task file"):
        read_source(tmp_path / "gone.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match="There is no task file"):
        read_source(tmp_path / "folder.json")
    (tmp_path / "latin.csv").write_bytes(b"input,target\ncaf\xe9,x\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_source(tmp_path / "latin.csv")


def test_single_precision_numbers_are_those_that_were_meant(tmp_path: Path) -> None:
    table = pyarrow.table(
        {"input": ["a", "b"], "target": pyarrow.array([0.1, 2.5], pyarrow.float32())}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [answers for _, answers in read(read_source(tmp_path / "a.parquet"))] == [
        ("0.1",),
        ("2.5",),
    ]


def test_more_choices_than_letters_are_all_shown(tmp_path: Path) -> None:
    scores = {f"choice {number}": int(number == 29) for number in range(30)}
    [example] = read_source(
        write(tmp_path / "a.json", [{"input": "Which?", "target_scores": scores}])
    ).examples
    assert example.input.endswith("- choice 29")
    assert (len(example.choices), example.answers) == (30, ("choice 29",))
