"""Columns, paths and templates, on every form of file; and the whole row of every example."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.errors import DataError
from optimizer.json_values import plain
from optimizer.tasks.columns import Columns, place_notes, read_part, value_at
from optimizer.tasks.files import read_rows, read_source
from optimizer.tasks.loading import load_task
from optimizer.tasks.sizes import Sizes
from tests.contracts import everyday_tasks
from tests.contracts.everyday_tasks import DEPARTMENTS, incident_notes, order_mails, tickets, write
from tests.contracts.examples import examples

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
TICKETS = Columns(input="text", target="label")


@pytest.mark.parametrize("ending", ENDINGS)
def test_named_columns_are_read_in_every_form(tmp_path: Path, ending: str) -> None:
    rows = tickets(30)
    source = read_source(write(tmp_path / f"tickets{ending}", rows), columns=TICKETS)
    assert [(one.input, one.answers) for one in source.examples] == [
        (row["text"], (row["label"],)) for row in rows
    ]
    assert source.unused == ()


@pytest.mark.parametrize("ending", ENDINGS)
def test_templates_paths_ids_and_choices_are_read_in_every_form(
    tmp_path: Path, ending: str
) -> None:
    rows = [
        {
            "key": f"k{number}",
            "user": {"name": f"Ada {number}", "tags": ["x", "y"]},
            "text": "{{user.name}} stays as it is",
            "marks": [f"m{number}", "n"],
            "allowed": ["a", "b"],
        }
        for number in range(3)
    ]
    columns = Columns("{{ user.name }} ({{user.tags.1}}): {{text}}", "marks.0", "allowed", "key")
    source = read_source(write(tmp_path / f"a{ending}", rows), columns=columns)
    assert [(one.id, one.input, one.answers, one.choices) for one in source.examples] == [
        (
            f"k{number}",
            f"Ada {number} (y): {{{{user.name}}}} stays as it is",
            (f"m{number}",),
            ("a", "b"),
        )
        for number in range(3)
    ]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet"])
def test_the_grader_sees_the_whole_row(tmp_path: Path, ending: str) -> None:
    rows = incident_notes(30)
    path = write(tmp_path / f"a{ending}", rows)
    task = load_task(
        str(path),
        sizes=Sizes(5, 5, 10),
        seed=0,
        columns=Columns("notes", "summary"),
        scorer="exact",
    )
    found = (*task.train, *task.dev, *task.test.single_reading().read())
    by_notes = {row["notes"]: row for row in rows}
    assert len(found) == 20
    assert all(one.fields == by_notes[one.input] for one in found)
    assert json.loads(json.dumps([dict(one.fields) for one in found]))


def test_cells_of_a_csv_file_are_texts_in_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", incident_notes(12))
    task = load_task(
        str(path), sizes=Sizes(2, 2, 2), seed=0, columns=Columns("notes", "summary"), scorer="exact"
    )
    assert {one.fields["severity"] for one in task.train} <= {"1", "2", "3"}


def test_a_mapping_as_target_is_its_json_and_its_value(tmp_path: Path) -> None:
    rows = order_mails(12)
    path = write(tmp_path / "a.jsonl", rows)
    columns = Columns("mail", "order")
    source = read_source(path, columns=columns)
    assert [json.loads(one.answers[0]) for one in source.examples] == [row["order"] for row in rows]
    swapped = [{**row, "order": dict(reversed(row["order"].items()))} for row in rows]
    again = read_source(write(tmp_path / "b.jsonl", swapped), columns=columns)
    assert [one.answers for one in again.examples] == [one.answers for one in source.examples]
    task = load_task(str(path), sizes=Sizes(2, 2, 2), seed=0, columns=columns, scorer="exact")
    assert all(isinstance(one.fields["order"], dict) for one in task.train)


def test_values_of_tables_become_json(tmp_path: Path) -> None:
    table = pa.table(
        {
            "input": ["a", "b"],
            "target": pa.array([Decimal("2.50"), Decimal("3.00")], pa.decimal128(5, 2)),
            "day": pa.array([date(2026, 11, 28), None]),
            "share": [float("nan"), 0.5],
            "picture": [b"\xff\xd8", b"x"],
            "nested": [{"at": date(2026, 1, 2), "deep": [Decimal("1")]}, None],
        },
        schema=None,
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = read_source(tmp_path / "a.parquet")
    assert [one.answers for one in source.examples] == [("2.50",), ("3.00",)]
    assert source.rows_at is not None
    # A column of bytes is not read at all.
    assert source.rows_at([1, 2]) == {
        1: {
            "input": "a",
            "target": 2.5,
            "day": "2026-11-28",
            "share": None,
            "nested": {"at": "2026-01-02", "deep": [1]},
        },
        2: {"input": "b", "target": 3, "day": None, "share": 0.5, "nested": None},
    }


def test_odd_values_become_json() -> None:
    odd = [float("inf"), Decimal("NaN"), Decimal("1E+999999"), b"ok", b"\xff", {1, 2}, {3: None}]
    assert plain(odd) == [None, None, "1E+999999", "ok", "/w==", [1, 2], {"3": None}]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            Columns(),
            "a.csv has no column input and no column target; it has: text, label "
            "(did you mean columns: {input: text, target: label}?).",
        ),
        (
            Columns("texts", "label"),
            "no column texts; it has: text, label (did you mean columns: {input: text}?)",
        ),
        (Columns("{{text}} {{labl}}", "label"), "no column labl; it has: text, label"),
        (Columns("text", "label", id="key"), "no column key; it has: text, label"),
        (Columns("text", "label", split="part"), "no column part; it has: text, label"),
        (Columns("text", "label", choices="all"), "no column all; it has: text, label"),
    ],
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_column_is_told_with_those_that_are_there(
    tmp_path: Path, ending: str, columns: Columns, said: str
) -> None:
    path = write(tmp_path / f"a{ending}", tickets(5))
    with pytest.raises(DataError) as caught:
        read_source(path, columns=columns)
    assert said.replace("a.csv", f"a{ending}") in str(caught.value)


def test_all_faults_of_rows_are_told_at_once() -> None:
    rows: list[Any] = [
        {"input": "", "target": "x"},
        {"input": {"a": 1}, "target": "x"},
        {"input": "b"},
        {"input": "c", "target": "x", "choices": 7},
        {"input": "d", "target": b"x"},
    ]
    with pytest.raises(DataError) as caught:
        read_rows("rows", rows)
    assert str(caught.value) == (
        "rows has examples without an input: number 1; give each an input text. It has examples "
        "whose input is a mapping: number 2; name a part of it, such as columns: {input: "
        "input.KEY}, or write a template. It has examples without an answer: number 3; give each a "
        "target. It has examples with choices that are no list of texts: number 4; write them like "
        '["yes", "no"]. It has examples whose target is bytes: number 5; write it as a text.'
    )


def test_all_faults_of_a_task_are_told_at_once(tmp_path: Path) -> None:
    rows = [{"text": "one", "label": "a"}, {"text": "one", "label": "b"}, *tickets(10)]
    with pytest.raises(DataError) as caught:
        load_task(
            str(write(tmp_path / "tickets.csv", rows)),
            sizes=Sizes(40, 40, 100),
            seed=0,
            columns=TICKETS,
            scorer="number",
        )
    said = str(caught.value)
    assert "Examples tickets/1 and tickets/2 have the same input and different targets" in said
    assert "which is no number" in said
    assert "Task 'tickets' has 11 distinct examples, but train 40 + dev 40 + test 100" in said


def test_ids_must_differ() -> None:
    with pytest.raises(DataError, match="with the id of another: number 2; give each its own"):
        read_rows(
            "rows", [{"input": text, "target": "x", "k": 1} for text in "ab"], Columns(id="k")
        )


def test_a_target_may_be_absent_where_no_grader_needs_it() -> None:
    source = read_rows("rows", [{"input": "a"}, {"input": "b"}], answered=False)
    assert [one.answers for one in source.examples] == [(), ()]
    with pytest.raises(DataError, match="has no column target; it has: input"):
        read_rows("rows", [{"input": "a"}])


def test_paths_reach_what_is_there() -> None:
    row = {"a.b": {"c": 1}, "a": {"b": {"c": 2}, "l": [{"x": 3}]}, "j": '{"k": [4]}'}
    assert [value_at(row, path) for path in ("a.b.c", "a.l.0.x", "j.k.0", "item.a.l")] == [
        1,
        3,
        4,
        [{"x": 3}],
    ]
    assert read_part(row, "{{item.j.k.0}}{{ a.l.0 }}") == '4{"x": 3}'


def test_files_that_have_another_ending_than_they_should_are_read(tmp_path: Path) -> None:
    rows = [{"input": f"q{number}", "target": "x"} for number in range(3)]
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "lines.json").write_text(lines)
    (tmp_path / "list.jsonl").write_text(json.dumps(rows))
    (tmp_path / "tabs.csv").write_text("input\ttarget\nq0\tx\nq1\tx\nq2\tx\n")
    (tmp_path / "semicolons.csv").write_text('input;target\nq0;x\n"q1";x\nq2;x\n')
    for name in ("lines.json", "list.jsonl", "tabs.csv", "semicolons.csv"):
        source = read_source(tmp_path / name)
        assert [one.input for one in source.examples] == ["q0", "q1", "q2"], name
        assert source.rows_at is not None
        assert source.rows_at([2]) == {2: rows[1]}, name


def test_a_file_goes_by_its_own_name_where_it_lies_under_another(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("input,target\na,\n")
    with pytest.raises(DataError, match=r"^tickets\.csv has examples without an answer"):
        read_source(tmp_path / "data.csv", shown="tickets.csv")
    (tmp_path / "data.csv").write_text("input,target\na,b\n")
    assert read_source(tmp_path / "data.csv", shown="tickets.csv").examples[0].id == "tickets/1"


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1).filter(
    lambda text: bool(text.strip())
)


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    rows=st.lists(st.fixed_dictionaries({"q": CELLS, "context": CELLS, "a": CELLS}), min_size=1),
    template=st.sampled_from(["q", "{{q}}", "{{q}}\n\n{{context}}", "{{context}} {{ q }} {{a}}"]),
)
def test_a_table_reads_alike_in_every_form(
    tmp_path: Path, rows: list[dict[str, str]], template: str
) -> None:
    columns = Columns(template, "a")
    sources = [
        read_source(write(tmp_path / f"a{ending}", rows), columns=columns) for ending in ENDINGS
    ]
    sources.append(read_rows("a", rows, columns))
    wanted = [plain(row) for row in rows]
    for source in sources:
        assert source.examples == sources[0].examples
        assert source.rows_at is not None
        found = source.rows_at(range(1, len(rows) + 1))
        assert [found[number] for number in range(1, len(rows) + 1)] == wanted


def test_everyday_data_are_the_same_every_time() -> None:
    assert tickets() == tickets()
    assert [len(rows()) for rows in (tickets, order_mails, incident_notes)] == [150, 80, 60]
    assert {row["label"] for row in tickets()} == set(DEPARTMENTS)
    assert len({row["mail"] for row in everyday_tasks.order_mails()}) == 80


@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ("Q: {input} A:", "{input}"),
        ("Answer {{ question }}.", "{{ question }}"),
        ('Reply as JSON: {"input": 1}', ""),
        ("Answer the question.", ""),
    ],
)
def test_a_place_in_a_prompt_is_noted_as_one_that_is_not_filled(prompt: str, place: str) -> None:
    notes = place_notes(prompt)
    assert [note.partition(" in the baseline")[0] for note in notes] == ([place] if place else [])
