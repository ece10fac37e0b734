"""Sizes that fit, shares, and splits that a source has itself."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DataError, SettingsError
from optimizer.tasks.columns import Columns
from optimizer.tasks.loading import load_task
from optimizer.tasks.sizes import FEWEST, AutoSizes, Shares, SizeRule, Sizes
from optimizer.tasks.splitting import MOST_OF_OWN, split
from optimizer.tasks.task import Task
from optimizer.types import Example
from tests.contracts.everyday_tasks import DEPARTMENTS, incident_notes, tickets, write

TICKETS = Columns("text", "label")


def load(path: Path, sizes: SizeRule, **settings: Any) -> Task:
    return load_task(str(path), sizes=sizes, seed=0, **({"columns": TICKETS} | settings))


def counts(task: Task) -> tuple[int, int, int]:
    return len(task.train), len(task.dev), len(task.test)


@pytest.mark.parametrize(
    ("examples", "sizes"),
    [
        (10, (3, 3, 4)),
        (60, (18, 18, 24)),
        (80, (24, 24, 32)),
        (150, (45, 45, 60)),
        (166, (49, 49, 68)),
        (199, (50, 50, 99)),
        (200, (50, 50, 100)),
        (200_000, (50, 50, 100)),
    ],
)
def test_auto_takes_the_usual_sizes_or_what_there_is(
    examples: int, sizes: tuple[int, int, int]
) -> None:
    assert AutoSizes().fitted(examples) == Sizes(*sizes)


@given(st.integers(FEWEST, 1000))
def test_auto_uses_all_of_few_examples(examples: int) -> None:
    fitted = AutoSizes().fitted(examples)
    assert fitted.total == min(examples, 200)
    assert fitted.train == fitted.dev <= fitted.test


def test_auto_is_the_usual_split_digit_for_digit_where_there_are_enough() -> None:
    for number in (200, 201, 500):
        examples = [Example(str(at), f"q{at}", ("ab"[at % 2],)) for at in range(number)]
        assert split("t", examples, AutoSizes(), Random(7)) == split(
            "t", examples, Sizes(), Random(7)
        )


def test_auto_gives_each_split_its_share_of_every_class(tmp_path: Path) -> None:
    rows = [row for row in tickets(150) if row["label"] != "other"]
    rows += [row for row in tickets(150) if row["label"] == "other"][:5]
    task = load(write(tmp_path / "t.csv", rows), AutoSizes())
    assert counts(task) == (39, 39, 52)
    for part in (task.train, task.dev, task.test.single_reading().read()):
        found = Counter(example.answers[0] for example in part)
        assert set(found) == set(DEPARTMENTS)
        for label, count in Counter(row["label"] for row in rows).items():
            assert abs(found[label] - count * len(part) / len(rows)) <= 1
    assert "split into 39, 39 and 52" in task.data_note
    other = load_task(str(tmp_path / "t.csv"), sizes=AutoSizes(), seed=1, columns=TICKETS)
    assert set(other.train) != set(task.train)
    assert other.data_hash == task.data_hash


def test_too_few_examples_are_told_with_sizes_that_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "tickets.csv", tickets(150))
    with pytest.raises(DataError) as caught:
        load(path, Sizes(40, 40, 100))
    assert str(caught.value) == (
        "Task 'tickets' has 150 distinct examples, but train 40 + dev 40 + test 100 need 180: use "
        "sizes auto or 45,45,60."
    )
    with pytest.raises(DataError, match="has 9 distinct examples, but sizes auto needs 10"):
        load(write(tmp_path / "few.csv", tickets(9)), AutoSizes())


def test_shares_of_all_examples(tmp_path: Path) -> None:
    path = write(tmp_path / "notes.jsonl", incident_notes(60))
    columns = Columns("notes", "summary")
    assert counts(load(path, Shares(0.3, 0.3, 0.4), columns=columns, scorer="exact")) == (
        18,
        18,
        24,
    )
    with pytest.raises(DataError, match=r"of which the shares 0\.01,0\.3,0\.4 leave a split empty"):
        load(path, Shares(0.01, 0.3, 0.4), columns=columns, scorer="exact")
    for odd in ((0.5, 0.5, 0.1), (0.0, 0.5, 0.5), (1.0, 0.1, 0.1)):
        with pytest.raises(SettingsError, match="shares of the splits"):
            Shares(*odd)
    with pytest.raises(SettingsError, match="made to size and has no shares"):
        load_task("navigate", sizes=Shares(0.3, 0.3, 0.4), seed=0)


def test_a_column_may_name_the_splits(tmp_path: Path) -> None:
    names = ("train", "Train", "validation", "test")
    rows = [{**row, "part": names[at % 4]} for at, row in enumerate(tickets(120))]
    columns = Columns("text", "label", split="part")
    task = load(write(tmp_path / "t.parquet", rows), AutoSizes(), columns=columns)
    assert counts(task) == (60, 30, 30)
    by_text = {row["text"]: row["part"] for row in rows}
    assert {by_text[one.input] for one in task.train} == {"train", "Train"}
    assert {by_text[one.input] for one in task.dev} == {"validation"}
    assert {by_text[one.input] for one in task.test.single_reading().read()} == {"test"}
    assert counts(load(tmp_path / "t.parquet", Sizes(10, 5, 20), columns=columns)) == (10, 5, 20)
    with pytest.raises(
        DataError, match=r"\(dev 30 of 31, test 30 of 40\): use sizes auto or 9,30,30"
    ):
        load(tmp_path / "t.parquet", Sizes(9, 31, 40), columns=columns)
    with pytest.raises(DataError, match="has its own splits, of which no shares can be taken"):
        load(tmp_path / "t.parquet", Shares(0.3, 0.3, 0.4), columns=columns)


def test_a_split_of_another_name_is_told(tmp_path: Path) -> None:
    rows = [{**row, "part": "fold1"} for row in tickets(20)]
    path = write(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match="with the split 'fold1': number 1, 2, 3, 4, 5 and 15 more"):
        load(path, AutoSizes(), columns=Columns("text", "label", split="part"))


def test_without_a_dev_split_it_is_drawn_from_train(tmp_path: Path) -> None:
    rows = [{**row, "part": "train" if at < 80 else "test"} for at, row in enumerate(tickets(120))]
    columns = Columns("text", "label", split="part")
    task = load(write(tmp_path / "t.csv", rows), AutoSizes(), columns=columns)
    assert counts(task) == (56, 24, 40)
    assert not {one.id for one in task.train} & {one.id for one in task.dev}
    few = [{**row, "part": "train"} for row in tickets(20)]
    with pytest.raises(DataError, match="has no examples of its own split test; add them"):
        load(write(tmp_path / "u.csv", few), AutoSizes(), columns=columns)


def test_auto_takes_at_most_so_many_of_an_own_split(tmp_path: Path) -> None:
    rows = [
        {"input": f"q{at}", "target": "ab"[at % 2], "part": "test" if at < 900 else "train"}
        for at in range(1000)
    ]
    path = write(tmp_path / "t.jsonl", rows)
    task = load(path, AutoSizes(), columns=Columns(split="part"))
    assert counts(task) == (70, 30, MOST_OF_OWN)


def test_three_files_are_the_splits(tmp_path: Path) -> None:
    rows = tickets(90)
    paths = {}
    for at, name in enumerate(("train", "dev", "test")):
        (tmp_path / name).mkdir()
        paths[name] = write(tmp_path / name / "data.csv", rows[at * 30 : at * 30 + 30])
    others = {name: str(paths[name]) for name in ("dev", "test")}
    task = load(paths["train"], AutoSizes(), others=others)
    assert counts(task) == (30, 30, 30)
    assert {one.input for one in task.dev} == {row["text"] for row in rows[30:60]}
    assert {one.id.split("/")[0] for one in task.dev} == {"dev"}
    assert all(one.fields["text"] == one.input for one in (*task.train, *task.dev))
    moved = load(paths["train"], AutoSizes(), others={"dev": others["test"], "test": others["dev"]})
    assert moved.data_hash != task.data_hash


def test_inputs_in_two_own_splits_are_told_and_stay_in_one(tmp_path: Path) -> None:
    rows = tickets(60)
    train, test = write(tmp_path / "a.csv", rows[:40]), write(tmp_path / "b.csv", rows[33:])
    task = load(train, AutoSizes(), others={"test": str(test)})
    assert "7 inputs of the own split test stand in train as well, and were left out of train" in (
        task.data_note
    )
    shown = [one.input for one in (*task.train, *task.dev, *task.test.single_reading().read())]
    assert len(shown) == len(set(shown)) == 60
    assert len(task.test) == 27


@pytest.mark.parametrize(("labels", "scorer"), [(20, "choice"), (50, "choice"), (61, "exact")])
def test_many_labels_are_labels_where_they_are_used_again_and_again(
    tmp_path: Path, labels: int, scorer: str
) -> None:
    rows = [{"input": f"q{at}", "target": f"label {at % labels}"} for at in range(labels * 15)]
    task = load(write(tmp_path / "t.csv", rows), AutoSizes(), columns=None)
    assert task.scorer == scorer
    assert len(task.labels) == (labels if scorer == "choice" else 0)


def test_long_or_rare_targets_are_no_labels(tmp_path: Path) -> None:
    long = [{"input": f"q{at}", "target": f"{at % 20} " + "so " * 30} for at in range(300)]
    rare = [{"input": f"q{at}", "target": f"t{max(0, at - 280)}"} for at in range(300)]
    for rows in (long, rare):
        task = load(write(tmp_path / "t.jsonl", rows), AutoSizes(), columns=None)
        assert (task.scorer, task.labels) == ("exact", ())


def test_labels_are_those_that_every_example_has(tmp_path: Path) -> None:
    task = load(write(tmp_path / "t.csv", tickets(60)), AutoSizes())
    assert task.labels == tuple(sorted(DEPARTMENTS))
    rows = [{"input": f"q{at}", "target": f"a{at}", "choices": [f"a{at}", "b"]} for at in range(20)]
    assert load(write(tmp_path / "u.jsonl", rows), AutoSizes(), columns=None).labels == ()


def test_a_description_is_taken_over_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", tickets(30))
    assert load(path, AutoSizes()).description == ""
    described = load(path, AutoSizes(), description="Sort tickets.")
    assert described.description == described.problem().description == "Sort tickets."
    made = load_task("navigate", sizes=Sizes(1, 1, 1), seed=0, description="Walk.")
    assert made.description == "Walk."
