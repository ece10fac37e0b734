"""`promptray up` as its callers see it when all of it, and then the replicas of its gateway and
models, are killed in mid-job.
"""

from itertools import pairwise
from pathlib import Path

import grpc
import httpx2
import pytest

from cluster.service.client import ServiceClient
from cluster.service.schemas import Event, OptimizationRequest
from serving.ledger.store import Ledger
from tests.e2e.service.up import Up
from tests.unit.cluster.service.requests import request

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
REQUEST = OptimizationRequest.model_validate(
    request(
        strategies=[{"name": "iterative_ape", "settings": {"rounds": 4, "pool": 3}}],
        sizes={"train": 10, "dev": 20, "test": 6},
        budget={"target_calls": 5000, "optimizer_calls": 400},
    )
)
"""Long enough to be under way still, when both deaths come."""
TABLES = ("trials.parquet", "candidates.parquet")


def left(storage: Path, job: str) -> tuple[list[bytes], int]:
    """The job's tables, and how many answers it has paid for."""
    out = storage / "optimizations" / job / "results"
    return [(out / name).read_bytes() for name in TABLES], len(Ledger.read_only(out / "ledger"))


def expect_closed_to_other_sites(address: str) -> None:
    """Raises AssertionError where Serve's own proxy lets in what the application would refuse."""
    websocket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA" * 11 + "==",
    }
    with httpx2.Client(base_url=address) as http:
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            websocket,
        ):
            assert http.get("/v1/optimizations", headers=headers).status_code == 403
        assert (
            http.post(
                "/v1/chat/completions", content="{}", headers={"Content-Type": "text/plain"}
            ).status_code
            == 415
        )


def expect_private(title_by_port: dict[int, str]) -> None:
    """Raises AssertionError where more of Ray is open to other machines than the one port of each
    replica that Serve binds to
    every interface, or where that port does not ask for Ray's token."""
    assert [
        title for title in title_by_port.values() if not title.startswith("ray::ServeReplica:")
    ] == []
    for port in title_by_port:
        with (
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"", timeout=30)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_the_api_shows_the_same_job_after_each_death_and_it_ends_as_an_undisturbed_one(
    running: Up,
) -> None:
    service = running
    with ServiceClient(service.address) as client:
        job = client.create(REQUEST)
        seen: list[Event] = []
        replicas = deaths = 0
        for event in client.follow(job.id):
            seen.append(event)
            if event.kind == "trial.round" and not deaths:
                assert client.job(job.id).status == "running"
                expect_private(service.open_to_others())
                expect_closed_to_other_sites(service.address)
                service.kill()
                service.start()
                deaths += 1
            elif event.kind == "trial.round" and not replicas:
                assert client.job(job.id).status == "running"
                replicas = service.kill_replicas()
        assert (replicas, deaths) == (3, 1)  # the gateway and two models; all of it
        assert seen[-1].kind == "job.succeeded"
        assert all(after.id == before.id + 1 for before, after in pairwise(seen))
        after = client.job(job.id)
        assert (after.status, after.name, after.created_at, after.runs) == (
            "succeeded",
            job.name,
            job.created_at,
            2,
        )
        assert list(client.events(job.id)) == seen
        undisturbed = client.create(REQUEST)
        assert [event.kind for event in client.follow(undisturbed.id)][-1] == "job.succeeded"
        assert left(service.storage, job.id) == left(service.storage, undisturbed.id)
