"""Ten thousand candidates of one trial: whole, in order, and in answers of a bounded size."""

from pathlib import Path

from cluster.service.backends.archive import ArchiveBackend
from tests.unit.cluster.service.http.conftest import OpenService
from tests.unit.cluster.service.many import CHILDREN, ROUNDS, TRIAL, write_many


async def test_ten_thousand_candidates_come_in_order(
    open_service: OpenService, tmp_path: Path
) -> None:
    write_many(tmp_path / "many")
    service = open_service(backend=ArchiveBackend([tmp_path / "many"]))
    job = await service.shown()
    answer = await service.get(f"/v1/optimizations/{job}/tree", trial=TRIAL)
    tree = answer.json()
    assert len(tree["id"]) == ROUNDS * CHILDREN + 1
    assert all(parent is None or parent < place for place, parent in enumerate(tree["parent"]))
    assert len(answer.content) < 1_200_000
    page = await service.json(
        f"/v1/optimizations/{job}/candidates",
        trial=TRIAL,
        limit=1000,
        after=f"{TRIAL}/{tree['id'][5000]}",
    )
    assert [one["id"] for one in page["data"]] == tree["id"][5001:6001]
