"""`promptray init` guesses columns, grader and sizes, and what it writes can be run."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.entry.first_settings import first_settings, guessed_lines
from cluster.entry.guess import guess
from cluster.experiment.prepare import check
from optimizer.errors import DataError
from optimizer.tasks.columns import Columns
from tests.contracts.everyday_tasks import (
    DEPARTMENTS,
    incident_notes,
    order_mails,
    tickets,
    write,
)


@pytest.mark.parametrize(
    ("name", "rows", "columns", "grader"),
    [
        ("tickets.csv", tickets(), Columns("text", "label"), "choice"),
        ("tickets.tsv", tickets(), Columns("text", "label"), "choice"),
        ("orders.jsonl", order_mails(), Columns("mail", "order"), "json"),
        ("orders.json", order_mails(), Columns("mail", "order"), "json"),
        ("notes.parquet", incident_notes(), Columns("notes", "summary"), "text_similarity"),
    ],
)
def test_everyday_data(
    tmp_path: Path, name: str, rows: list[dict[str, Any]], columns: Columns, grader: str
) -> None:
    file = write(tmp_path / name, rows)
    found = guess(str(file), Columns())
    assert (found.columns, found.grader, found.examples) == (columns, grader, len(rows))
    text = first_settings(str(file), file.stem, found, "openai:m")
    (tmp_path / "x.yaml").write_text(text)
    settings = ExperimentSettings.read(tmp_path / "x.yaml")
    trials, tasks, _ = check(settings)
    assert len(trials) == 1
    (task,) = tasks.values()
    assert task.grader.name == grader
    assert len(task.train) == found.sizes[0]


def test_labels_are_listed_and_reasons_told(tmp_path: Path) -> None:
    file = write(tmp_path / "tickets.csv", tickets())
    found = guess(str(file), Columns())
    assert set(found.labels) == set(DEPARTMENTS)
    told = "\n".join(guessed_lines(found))
    assert "billing" in told
    assert "text is the input (by its name)" in told


def test_what_was_said_is_not_guessed(tmp_path: Path) -> None:
    file = write(tmp_path / "notes.csv", incident_notes())
    found = guess(str(file), Columns(input="{{notes}} ({{severity}})", target="severity"))
    assert found.columns == Columns("{{notes}} ({{severity}})", "severity")
    assert found.grader == "number"


def test_columns_that_nothing_tells_are_asked_for(tmp_path: Path) -> None:
    rows = [{"a": f"x{n}", "b": f"y{n}", "c": f"z{n}"} for n in range(30)]
    file = write(tmp_path / "odd.csv", rows)
    with pytest.raises(DataError, match=r"cannot be guessed; it has: a, b, c\. Name them"):
        guess(str(file), Columns())


def test_a_chat_needs_no_columns(tmp_path: Path) -> None:
    turns = [
        [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}"}]
        for n in range(30)
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns))
    found = guess(str(file), Columns())
    assert found.columns == Columns()
    assert "columns" not in yaml.safe_load(first_settings(str(file), "c", found, None))["tasks"][0]


@pytest.mark.parametrize("text", ["", "{", "\x00\xff", "a,b\n1\n"])
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    for ending in ("csv", "jsonl", "json", "parquet"):
        file = tmp_path / f"x.{ending}"
        file.write_text(text)
        with pytest.raises(DataError, match=r"x\."):
            guess(str(file), Columns())


def test_labels_and_names_of_files_cannot_leave_their_comment(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": ("a\ntarget: evil", "b")[n % 2]} for n in range(40)]
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = guess(str(file), Columns())
    text = first_settings(str(file), "x", found, "openai:m")
    assert yaml.safe_load(text)["target"] == "openai:m"
