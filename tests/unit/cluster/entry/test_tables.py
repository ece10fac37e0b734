"""Data in memory becomes a file of the results folder, whatever kind of table it is."""

from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

from cluster.entry.tables import source_of
from optimizer.errors import DataError
from optimizer.tasks.files import read_source
from serving.storage import open_folder

ROWS = [{"input": f"{n} + 1?", "target": n + 1} for n in range(3)]


class Polars:
    """As polars' frames give themselves."""

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pylist(ROWS)


class Capsule:
    """A table of any other library, by Arrow's protocol."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.Table.from_pylist(ROWS).__arrow_c_stream__(requested_schema)


class Dataset:
    """As datasets.Dataset does."""

    def with_format(self, kind: str) -> "Dataset":
        assert kind == "arrow"
        return self

    def __getitem__(self, part: slice) -> pa.Table:
        return pa.Table.from_pylist(ROWS)


Dataset.__module__ = "datasets.arrow_dataset"


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        tuple(ROWS),
        (dict(row) for row in ROWS),
        pa.Table.from_pylist(ROWS),
        pandas.DataFrame(ROWS, index=[5, 6, 7]),
        Polars(),
        Capsule(),
        Dataset(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_kind_of_table(tmp_path: Path, data: Any) -> None:
    file = source_of(data, open_folder(tmp_path), "sums")
    assert file == str(tmp_path / "data" / "sums.parquet")
    examples = read_source(Path(file)).examples
    assert [(one.input, one.answers) for one in examples] == [
        (row["input"], (str(row["target"]),)) for row in ROWS
    ]


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    assert source_of(tmp_path / "x.csv", open_folder(tmp_path), "x") == str(tmp_path / "x.csv")
    assert not (tmp_path / "data").exists()


def test_splits_are_three_files(tmp_path: Path) -> None:
    found = source_of(
        {"train": ROWS, "validation": "dev.csv", "test": ROWS}, open_folder(tmp_path), "x"
    )
    data = tmp_path / "data"
    assert found == {
        "train": str(data / "x-train.parquet"),
        "dev": "dev.csv",
        "test": str(data / "x-test.parquet"),
    }


def test_rows_that_are_no_columns_become_lines(tmp_path: Path) -> None:
    rows = [{"input": "a", "target": 1}, {"input": "b", "target": {"x": [1, "y"]}}]
    file = source_of(rows, open_folder(tmp_path), "odd")
    assert isinstance(file, str)
    assert file.endswith("odd.jsonl")
    assert len(read_source(Path(file)).examples) == 2


def test_the_same_data_again_is_no_other_data(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    assert source_of(ROWS, folder, "x") == source_of(ROWS, folder, "x")
    with pytest.raises(DataError, match="holds other data"):
        source_of(ROWS[:2], folder, "x")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (7, "Data cannot be a int"),
        ([1, 2], "Data cannot be a list"),
        ([], "no rows"),
        (pa.table({"input": []}), "no rows"),
        ({"rows": ROWS}, "has the splits train, dev and test, not rows"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path: Path, data: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        source_of(data, open_folder(tmp_path), "x")
