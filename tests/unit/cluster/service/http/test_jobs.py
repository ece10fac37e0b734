"""Jobs over HTTP: created, listed, cancelled, resumed, estimated; each owner sees their own."""

import pytest

from cluster.service.schemas import Optimization
from tests.unit.cluster.service.http.conftest import REQUEST, Client, OpenService, Owners


async def test_a_job_is_created_runs_and_succeeds(service: Client) -> None:
    created = await service.post("/v1/optimizations", REQUEST | {"metadata": {"ticket": "7"}})
    assert created.status_code == 200
    job = Optimization.model_validate(created.json())
    assert (job.status, job.owner, job.request.metadata) == ("queued", "local", {"ticket": "7"})
    done = await service.until(job.id, "succeeded")
    assert done["trials_done"] == done["trials"] == 2
    assert done["trials_told"] == "2 of 2 trials finished"
    assert done["finished_at"] is not None


async def test_the_same_idempotency_key_gives_the_same_job(service: Client) -> None:
    answers = [
        await service.post("/v1/optimizations", REQUEST, headers={"Idempotency-Key": key})
        for key in ("a", "a", "b")
    ]
    one, two, other = [answer.json()["id"] for answer in answers]
    assert one == two != other


async def test_a_cancelled_job_can_be_resumed_and_a_finished_one_not(service: Client) -> None:
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    cancelled = (await service.post(f"/v1/optimizations/{id}/cancel")).json()
    assert (cancelled["status"], cancelled["trials_done"]) == ("cancelled", 0)
    assert cancelled["trials_told"] == "0 of 2 trials finished, 2 cancelled"
    assert (await service.post(f"/v1/optimizations/{id}/cancel")).status_code == 409
    assert (await service.post(f"/v1/optimizations/{id}/resume")).json()["status"] == "queued"
    await service.until(id, "succeeded")
    again = await service.post(f"/v1/optimizations/{id}/resume")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


async def test_lists_come_in_pages_the_newest_first(service: Client) -> None:
    ids = [(await service.post("/v1/optimizations", REQUEST)).json()["id"] for _ in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = await service.json(
            "/v1/optimizations", limit=2, **({"after": after} if after else {})
        )
        assert len(page["data"]) <= 2
        seen += [job["id"] for job in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert seen[:5] == ids[::-1]
    assert len(seen) == 6
    assert (await service.json("/v1/optimizations", status="cancelled"))["data"] == []
    assert (await service.get("/v1/optimizations", after="opt-none")).status_code == 404


async def test_an_estimate_says_what_it_does_not_know(service: Client) -> None:
    found = (
        await service.post("/v1/optimizations/estimate", REQUEST | {"seeds": [0, 1, 2]})
    ).json()
    assert (found["trials"], found["target_calls"], found["can_pay"]) == (3, 30_000, None)


@pytest.mark.parametrize(
    ("body", "param", "part"),
    [
        ({}, "tasks", "missing"),
        ({"tasks": [], "strategies": ["apo"]}, "tasks", "at least 1"),
        (
            {"tasks": [{"generated": "navigate"}], "strategies": ["apoo"]},
            "strategies.0",
            "known are: abo",
        ),
        (
            {"tasks": [{"generated": "navigate", "sorcer": 1}], "strategies": ["apo"]},
            "tasks.0",
            "did you mean 'scorer'",
        ),
        (
            {"tasks": [{"generated": "navigate"}], "strategies": ["apo"], "seeds": []},
            "seeds",
            "at least 1",
        ),
        ({"tasks": [{"generated": "nothing"}], "strategies": ["apo"]}, None, "no generated task"),
        ([1], None, ""),
    ],
)
async def test_a_faulty_request_is_answered_in_one_sentence(
    service: Client, body: object, param: str | None, part: str
) -> None:
    answer = await service.post("/v1/optimizations", body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert part in error["message"]
    assert "\n" not in error["message"]


async def test_owners_do_not_see_each_others_jobs(owners: Owners) -> None:
    id = (await owners.ann.post("/v1/optimizations", REQUEST)).json()["id"]
    await owners.ann.until(id, "succeeded")
    trial = (await owners.ann.json(f"/v1/optimizations/{id}/trials"))["data"][0]
    paths = [
        "",
        "/events",
        "/trials",
        f"/trials/{trial['id']}",
        "/candidates",
        f"/candidates/{trial['best']}?trial={trial['id']}",
        f"/tree?trial={trial['id']}",
        f"/comparison?trial={trial['id']}&left={trial['best']}&right={trial['best']}",
        "/best",
        "/best?format=openai",
        "/report",
        "/files/trials.parquet",
        "/events?stream=true",
    ]
    for path in paths:
        assert (await owners.bob.get(f"/v1/optimizations/{id}{path}")).status_code == 404, path
        assert (await owners.nobody.get(f"/v1/optimizations/{id}{path}")).status_code == 401, path
        assert (await owners.admin.get(f"/v1/optimizations/{id}{path}")).status_code in (
            200,
            204,
        ), path
    for act in ("cancel", "resume"):
        assert (await owners.bob.post(f"/v1/optimizations/{id}/{act}")).status_code == 404
    assert (await owners.bob.json("/v1/optimizations"))["data"] == []
    assert [
        job["owner"] for job in (await owners.admin.json("/v1/optimizations", owner="ann"))["data"]
    ] == ["ann"]


async def test_two_owners_may_use_the_same_idempotency_key(owners: Owners) -> None:
    headers = {"Idempotency-Key": "k"}
    jobs = [
        (await one.post("/v1/optimizations", REQUEST, headers=headers)).json()
        for one in (owners.ann, owners.bob)
    ]
    assert jobs[0]["id"] != jobs[1]["id"]
    assert [job["owner"] for job in jobs] == ["ann", "bob"]


async def test_a_full_quota_is_told_with_the_time_to_come_again(open_service: OpenService) -> None:
    service = open_service(jobs_at_once=1)
    await service.post("/v1/optimizations", REQUEST)
    answer = await service.post("/v1/optimizations", REQUEST)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "quota_exceeded")
    assert int(answer.headers["retry-after"]) > 0
