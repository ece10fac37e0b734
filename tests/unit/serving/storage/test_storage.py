"""A folder is the same thing on a disk and on an object store, and every fault of it is one
sentence without a key.
"""

import pickle
from contextlib import chdir
from pathlib import Path

import pytest

from optimizer.errors import StorageError
from serving.storage import open_folder, split_place


def test_what_is_written_is_read_listed_and_deleted(any_place: str) -> None:
    folder = open_folder(any_place)
    folder.make()
    folder.write("b.json", b"{}")
    folder.write("a.json", b"old and longer")
    folder.write("a.json", b"new")
    folder.write("c d.bin", b"")
    folder.write(".hidden.json", b"x")
    assert folder.names() == ["a.json", "b.json", "c d.bin"]
    assert folder.names(".json") == ["a.json", "b.json"]
    assert [folder.read(name) for name in folder.names()] == [b"new", b"{}", b""]
    folder.delete("a.json")
    folder.delete("a.json")
    assert (folder.exists("a.json"), folder.exists("b.json")) == (False, True)


def test_folders_in_folders(any_place: str) -> None:
    folder = open_folder(any_place)
    folder.child("best").write("x.md", b"x")
    (folder / "best").child("deeper").write("y.md", b"y")
    assert folder.names() == []
    assert (folder / "best").names() == ["x.md"]
    above, name = split_place((folder / "best").place_of("x.md"))
    assert (above.read(name), above) == (b"x", folder / "best")
    (folder / "best").remove()
    assert (folder / "best").names() == []
    assert not (folder / "best" / "deeper").exists("y.md")


def test_one_that_is_not_there_is_empty_and_can_be_removed(any_place: str) -> None:
    folder = open_folder(any_place) / "none"
    assert folder.names() == []
    assert not folder.exists("x")
    folder.remove()
    with pytest.raises(StorageError, match=r"x.* cannot be read \(no such file or folder\)"):
        folder.read("x")


def test_it_travels_to_another_process(any_place: str) -> None:
    folder = open_folder(any_place)
    folder.write("x", b"1")
    arrived = pickle.loads(pickle.dumps(folder))
    assert arrived.read("x") == b"1"
    assert (arrived, arrived.place) == (folder, any_place)
    assert open_folder(folder) is folder
    assert open_folder(str(folder)) == folder


def test_a_file_of_a_megabyte_is_whole(any_place: str) -> None:
    folder, data = open_folder(any_place), bytes(range(256)) * 2**12
    folder.write("large", data)
    assert folder.read("large") == data


def test_a_path_and_a_file_uri_are_the_same_local_folder(tmp_path: Path) -> None:
    assert (
        open_folder(f"file://{tmp_path}/a%20b")
        == open_folder(tmp_path / "a b")
        == open_folder(str(tmp_path / "a b"))
    )
    assert open_folder(tmp_path).local
    assert open_folder("~/x").place == str(Path.home() / "x")
    with chdir(tmp_path):
        assert open_folder("x").absolute() == open_folder(tmp_path / "x")


def test_a_write_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(StorageError, match="taken cannot be written"):
        open_folder(tmp_path).write("taken", b"a folder stands here")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("scheme", ["ftp", "s4"])
def test_an_unknown_scheme(scheme: str) -> None:
    with pytest.raises(
        StorageError,
        match=f"{scheme}://host/x is not writable .its scheme is unknown; known are s3, gs, abfs",
    ):
        open_folder(f"{scheme}://host/x").make()


def test_a_bucket_that_does_not_exist(bucket: str) -> None:
    missing = bucket.replace("s3://bucket", "s3://no-bucket")
    with pytest.raises(StorageError, match=r"is not writable \(no such bucket\)\."):
        open_folder(missing).make()


def test_a_folder_behind_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not writable"):
        open_folder(tmp_path / "file" / "out").make()
    with pytest.raises(StorageError, match="cannot be read"):
        open_folder(tmp_path / "file").names()


@pytest.mark.parametrize(
    "place",
    [
        "s3://AKIAEXAMPLE:hunter2@bucket/x",
        "s3://hunter2@bucket/x",
        "hdfs://me:hunter2@host/x",
        "s3://bucket/x?secret_key=hunter2",
        "gs://bucket/x?access_token=hunter2",
        "abfs://c@a.example/x?sas_token=hunter2",
    ],
)
def test_a_key_in_the_address_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(StorageError, match="holds a key; take it out") as told:
        open_folder(place)
    assert "hunter2" not in str(told.value)
    assert "AKIA" not in str(told.value)


def test_folders_are_listed_and_no_files(any_place: str) -> None:
    folder = open_folder(any_place)
    assert (folder / "none").folders() == []
    (folder / "b").write("x", b"1")
    (folder / "a" / "inner").write("x", b"1")
    folder.write("file", b"1")
    assert folder.folders() == ["a", "b"]
    assert (folder / "a").folders() == ["inner"]
    assert folder.names() == ["file"]
