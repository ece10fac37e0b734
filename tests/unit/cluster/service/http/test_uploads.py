"""Uploaded data sets: what is taken, what is refused and how, and that none of it is ever more than
text.
"""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.service.core.settings import ServiceSettings
from cluster.service.stores.data_files import safe_name
from serving.gateway.settings import GatewaySettings
from tests.contracts import hostile
from tests.unit.cluster.service.http.conftest import Client, OpenService, Owners

pytestmark = pytest.mark.process
GOOD = b'{"input": "1 + 1", "target": "2"}\n{"input": "1 + 2", "target": "3"}\n'


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"input": ["1 + 1", "1 + 2"], "target": ["2", "3"]}), sink)
    return sink.getvalue()


GOOD_BY_NAME = {
    "a.jsonl": GOOD,
    "a.csv": b"input,target\n1 + 1,2\n1 + 2,3\n",
    "a.parquet": parquet(),
    "task.json": json.dumps(
        {"examples": [{"input": "1 + 1", "target": "2"}, {"input": "1 + 2", "target": "3"}]}
    ).encode(),
}


@pytest.mark.parametrize("name", GOOD_BY_NAME)
async def test_every_form_is_kept_listed_shown_given_back_and_deleted(
    service: Client, name: str
) -> None:
    stored = (await service.upload(name, GOOD_BY_NAME[name])).json()
    assert (stored["filename"], stored["rows"], stored["scorer"], stored["bytes"]) == (
        name,
        2,
        "number",
        len(GOOD_BY_NAME[name]),
    )
    id = stored["id"]
    assert await service.json(f"/v1/files/{id}") == stored
    assert (await service.json("/v1/files"))["data"] == [stored]
    rows = await service.json(f"/v1/files/{id}/rows", after=1)
    assert [(row["input"], row["answers"]) for row in rows["data"]] == [("1 + 2", ["3"])]
    content = await service.get(f"/v1/files/{id}/content")
    assert content.content == GOOD_BY_NAME[name]
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"].startswith(f'attachment; filename="{name}"')
    assert (await service.http.delete(f"/v1/files/{id}")).json() == {
        "id": id,
        "object": "file",
        "deleted": True,
    }
    assert (await service.get(f"/v1/files/{id}")).status_code == 404
    assert (await service.json("/v1/files"))["data"] == []


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        (
            "a.jsonl",
            b'{"input": "a", "target": "b"}\nnope\n{"input": \n',
            ["Line 2 of a.jsonl is not JSON", "line 3"],
        ),
        (
            "a.jsonl",
            b'{"input": "a"}\n{"target": "b"}\n{"input": "c"}\n',
            ["an input: number 2", "an answer: number 1, 3"],
        ),
        ("a.csv", b"question,target\n,b\n", ["input: number 1"]),
        ("a.csv", b"input,target\n,b\nc,\n", ["input: number 1", "answer: number 2"]),
        ("a.parquet", b"PAR1", ["parquet"]),
        ("a.json", b"[]", ["no examples"]),
        ("a.json", b"{" * 100_000, ["JSON"]),
        ("a.jsonl", b"\xff\xfe", ["UTF-8"]),
        ("a.exe", b"MZ", [".jsonl"]),
        ("a", b"", [".jsonl"]),
        ("a.jsonl", b"", ["no examples"]),
    ],
)
async def test_the_first_faulty_rows_are_named_and_nothing_is_kept(
    service: Client, name: str, content: bytes, parts: list[str]
) -> None:
    answer = await service.upload(name, content)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert all(part in message for part in parts), message
    assert "/tmp" not in message
    assert (await service.json("/v1/files"))["data"] == []


async def test_a_file_with_other_columns_is_kept_with_their_names(service: Client) -> None:
    lines = ["day,text,label", *(f"{at},ticket {at},{'ab'[at % 2]}" for at in range(30))]
    stored = (await service.upload("tickets.csv", "\n".join(lines).encode())).json()
    assert stored["columns"] == ["day", "text", "label"]
    assert stored["guess"] == {"input": "text", "target": "label"}
    assert stored["preview"][0]["input"] == "ticket 0"
    assert stored["preview"][0]["answers"] == ["a"]
    rows = await service.json(f"/v1/files/{stored['id']}/rows")
    assert len(rows["data"]) == 20


@pytest.mark.parametrize("text", hostile.SHORT)
async def test_hostile_rows_and_names_are_text(service: Client, text: str) -> None:
    line = json.dumps({"input": f"x {text}", "target": f"y {text}"})
    name = text[:200].encode("utf-8", "replace").decode()
    answer = await service.upload(f"{name}.jsonl", f"{line}\n".encode())
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    stored = answer.json()
    assert "/" not in stored["filename"]
    assert stored["preview"][0]["input"] == f"x {text}".encode("utf-8", "backslashreplace").decode()
    assert len((await service.json(f"/v1/files/{stored['id']}/rows"))["data"]) == 1
    content = await service.get(f"/v1/files/{stored['id']}/content")
    assert content.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\x\\y.csv", "y.csv"),
        ("<b>.csv", "_b_.csv"),
        ("", "data"),
        ("...", "data"),
        ("a" * 300 + ".jsonl", "a" * 114 + ".jsonl"),
        ("a\x00b\r\n.csv", "a_b__.csv"),
        ("ä b.csv", "ä b.csv"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


async def test_a_file_that_is_too_large_is_answered_with_413(open_service: OpenService) -> None:
    service = open_service(settings=ServiceSettings(upload_bytes=1024))
    for size in (1025, 200_000):
        answer = await service.upload("a.jsonl", b" " * size)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large"), (
            size
        )

    async def pieces():  # type: ignore[no-untyped-def]
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        for _ in range(100):
            yield b" " * 10_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (
        await service.http.post("/v1/files", content=pieces(), headers=headers)
    ).status_code == 413


async def test_a_body_that_is_too_large_is_answered_with_413(open_service: OpenService) -> None:
    service = open_service(settings=ServiceSettings(gateway=GatewaySettings(max_body_bytes=1024)))
    answer = await service.post("/v1/optimizations", {"description": "x" * 2000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_owners_do_not_see_each_others_files(owners: Owners) -> None:
    id = (await owners.ann.upload("a.jsonl", GOOD)).json()["id"]
    for path in ("", "/content", "/rows"):
        assert (await owners.bob.get(f"/v1/files/{id}{path}")).status_code == 404
    assert (await owners.bob.http.delete(f"/v1/files/{id}")).status_code == 404
    assert (await owners.bob.json("/v1/files"))["data"] == []
    assert [file["id"] for file in (await owners.admin.json("/v1/files"))["data"]] == [id]
    assert (await owners.ann.get(f"/v1/files/{id}")).status_code == 200


@pytest.mark.parametrize("id", ["file-..", "..%2f..%2fkeys.json", "file-" + "0" * 22, "x" * 99])
async def test_an_id_is_no_way_into_the_storage(service: Client, id: str) -> None:
    for path in ("", "/content"):
        assert (await service.get(f"/v1/files/{id}{path}")).status_code == 404
