"""Models on a real, small Ray: by handle, by ledger actor, and through the gateway."""

import asyncio
import os
import pickle
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from optimizer.errors import AccessError, EndpointError, SettingsError, StorageError
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Outcome, Request
from serving.clients.probe import reach
from serving.clients.serve_model import ServeHandleModel
from serving.contracts.streaming import Piece
from serving.hosting.deployment import START_ATTEMPTS, deployment_name, find, host
from serving.ledger import Ledger, key_of
from serving.ledger.actor import RemoteLedger, open_ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.format import whole
from serving.ledger.single_flight import GRACE_S, RENEWAL_S
from serving.settings import OptimizerSettings
from tests.contracts.client_contract import LanguageModelContract, ask
from tests.contracts.scripted_hosting import ScriptedSettings, load
from tests.contracts.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def apps(local_ray: None) -> list[str]:
    return host([OptimizerSettings(), ScriptedSettings(), OptimizerSettings()], load)


@pytest.fixture(scope="module", autouse=True)
def written_to(
    local_ray: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Ledger, "Future[RemoteLedger]"]]:
    """A folder, this process's ledger in it, and an actor's attempt to open it: that is given up
    after 20 s, in which the other tests here go on.
    """
    folder = tmp_path_factory.mktemp("written-to")
    held = Ledger(folder)
    with ThreadPoolExecutor(1) as pool:
        yield folder, held, pool.submit(open_ledger, folder)
    held.close()


@pytest.fixture
def echo(apps: list[str]) -> ServeHandleModel:
    return ServeHandleModel(apps[1], "scripted:echo@1", chunk=4)


class TestServeHandleModel(LanguageModelContract):
    @pytest.fixture
    def model(self, apps: list[str]) -> ServeHandleModel:
        return ServeHandleModel(apps[0], OptimizerSettings().identity)


async def test_a_model_that_runs_is_left_alone_when_it_is_hosted_again(
    apps: list[str], echo: ServeHandleModel
) -> None:
    before = await echo.complete([ask("who")])
    assert await asyncio.to_thread(host, [ScriptedSettings()], load) == [apps[1]]
    assert await echo.complete([ask("who")]) == before


def test_equal_models_are_hosted_once(apps: list[str]) -> None:
    assert apps[0] == apps[2] == deployment_name(OptimizerSettings())
    assert apps[0] != apps[1]
    assert find(apps[0]) == apps[0]
    assert find("nobody") is None


async def test_an_engine_that_refuses_its_settings_is_a_settings_error_at_once(
    tmp_path: Path,
) -> None:
    model = ScriptedSettings(
        "scripted:misset", "scripted:misset@1", misset=str(tmp_path / "attempts")
    )
    with pytest.raises(SettingsError) as caught:
        await asyncio.to_thread(host, [model], load)
    assert str(caught.value) == "The scripted engine has no setting 'x'."
    await until(lambda: find(deployment_name(model)) is None)
    # A second attempt may be under way when the first is heard of.
    assert len((tmp_path / "attempts").read_text().splitlines()) < START_ATTEMPTS


async def in_pieces(model: ServeHandleModel, text: str) -> list[Piece]:
    return [piece async for piece in model.stream(ask(text))]


async def test_an_answer_comes_in_pieces(echo: ServeHandleModel) -> None:
    assert await in_pieces(echo, "you and me") == [
        "1",
        " heard",
        " you",
        " and",
        " me",
        Completion("1 heard you and me"),
    ]


async def test_our_errors_come_through_a_stream_as_they_are(echo: ServeHandleModel) -> None:
    with pytest.raises(AccessError, match="no access"):
        await in_pieces(echo, "no access")


async def test_a_batch_goes_out_in_chunks(echo: ServeHandleModel) -> None:
    outcomes = await echo.complete([ask(str(number)) for number in range(6)])
    assert outcomes == [
        Completion(f"{4 if number < 4 else 2} heard {number}") for number in range(6)
    ]


async def test_the_client_survives_pickling_after_use(echo: ServeHandleModel) -> None:
    await reach(echo)
    again: ServeHandleModel = pickle.loads(pickle.dumps(echo))
    assert await again.complete([ask("a")]) == [Completion("1 heard a")]


async def test_our_errors_come_through_a_replica_as_they_are(echo: ServeHandleModel) -> None:
    with pytest.raises(AccessError, match="no access"):
        await echo.complete([ask("no access")])


async def test_a_broken_engine_is_an_endpoint_error(echo: ServeHandleModel) -> None:
    with pytest.raises(EndpointError, match="the engine broke"):
        await echo.complete([ask("break")])


async def test_a_model_that_is_not_hosted_is_an_endpoint_error(apps: list[str]) -> None:
    with pytest.raises(EndpointError, match="not hosted"):
        await ServeHandleModel("nobody", "nobody").complete([ask("a")])


async def test_a_replica_that_dies_is_waited_for(tmp_path: Path, apps: list[str]) -> None:
    mortal = ScriptedSettings(
        "scripted:mortal", "scripted:mortal@1", die_once=str(tmp_path / "died")
    )
    (app,) = await asyncio.to_thread(host, [mortal], load)
    assert await ServeHandleModel(app, mortal.identity).complete([ask("a")]) == [
        Completion("1 heard a")
    ]
    assert (tmp_path / "died").exists()


async def test_an_engine_that_dies_is_replaced_with_its_process(
    tmp_path: Path, apps: list[str]
) -> None:
    mark = tmp_path / "died"
    mortal = ScriptedSettings(
        "scripted:engine-dies", "scripted:engine-dies@1", engine_dies_once=str(mark)
    )
    (deployment,) = await asyncio.to_thread(host, [mortal], load)
    (outcome,) = await ServeHandleModel(deployment, mortal.identity).complete([ask("process")])
    assert isinstance(outcome, Completion)
    assert int(outcome.text) != int(mark.read_text())
    await until(lambda: not Path(f"/proc/{mark.read_text()}").exists())


async def test_a_stream_whose_engine_dies_ends_with_a_value(apps: list[str]) -> None:
    mortal = ScriptedSettings("scripted:dies-talking", "scripted:dies-talking@1")
    (deployment,) = await asyncio.to_thread(host, [mortal], load)
    model = ServeHandleModel(deployment, mortal.identity)
    assert await in_pieces(model, "die in the middle") == [
        "1",
        Failed("infrastructure", "The scripted engine died in the middle."),
    ]
    assert await model.complete([ask("a")]) == [Completion("1 heard a")]


async def test_trials_share_one_ledger_actor(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    other: RemoteLedger = pickle.loads(pickle.dumps(open_ledger(tmp_path)))
    model = ScriptedModel(lambda request: f"heard {request.messages[0].content}")
    both = await asyncio.gather(
        *(
            CachedModel(model, one).complete([ask(letter) for letter in "abcd"])
            for one in (ledger, other)
        )
    )
    # Whichever asked first pays; that may be one for some letters and the other for others.
    for letter, one, two in zip("abcd", *both, strict=True):
        assert {one, two} == {
            Completion(f"heard {letter}"),
            Completion(f"heard {letter}", from_ledger=True),
        }
    assert model.calls == 4
    assert len(Ledger.read_only(tmp_path)) == 4
    counts = await ledger.counts()
    assert (counts.paid, counts.hits) == (4, 4)
    assert await other.counts() == counts


async def test_a_folder_without_room_for_a_ledger_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        open_ledger(tmp_path / "file")


async def test_the_ledger_actor_says_what_it_cannot_read_and_storage_error_where_it_cannot_write(
    tmp_path: Path,
) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "000001-x.a.arrows").write_bytes(whole([])[:-20])
    ledger = open_ledger(tmp_path / "ledger")
    assert [told.partition(":")[0] for told in ledger.damage] == ["000001-x.a.arrows is torn"]
    await ledger.counts()
    shutil.rmtree(tmp_path / "ledger")
    (tmp_path / "ledger").write_text("a file stands in its place")
    with pytest.raises(StorageError, match="cannot be written"):
        await CachedModel(ScriptedModel(lambda request: "a"), ledger).complete([ask("a")])


async def test_a_ledger_that_another_writes_to_is_refused_in_the_driver(
    written_to: tuple[Path, Ledger, "Future[RemoteLedger]"],
) -> None:
    folder, held, opening = written_to
    with pytest.raises(StorageError, match=f"being written to by process {os.getpid()} on "):
        await asyncio.wrap_future(opening)
    held.close()
    opened = await asyncio.to_thread(open_ledger, folder)
    opened.close()
    Ledger(folder, wait_s=0).close()


class Gated:
    """A model that answers when it may, and counts what it was asked."""

    name = "gated@1"

    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.asked += len(requests)
        await self.gate.wait()
        return [Completion("paid once") for _ in requests]


async def test_a_killed_ledger_actor_does_not_forget_who_is_paying(tmp_path: Path) -> None:
    ledger, model = await asyncio.to_thread(open_ledger, tmp_path), Gated()
    payer = asyncio.create_task(CachedModel(model, ledger).complete([ask("a"), ask("b")]))
    await until(lambda: model.asked == 2)
    waiter = asyncio.create_task(
        CachedModel(model, pickle.loads(pickle.dumps(ledger))).complete([ask("b"), ask("a")])
    )
    await asyncio.sleep(0.5)
    pid = await ledger._actor.__ray_call__.remote(lambda _: os.getpid())
    os.kill(pid, signal.SIGKILL)
    newcomer = asyncio.create_task(CachedModel(model, ledger).complete([ask("a")]))
    await asyncio.sleep(
        GRACE_S + 2 * RENEWAL_S
    )  # long enough for a claim that the restarted actor should not grant
    assert await ledger._actor.__ray_call__.remote(lambda _: os.getpid()) != pid
    await asyncio.sleep(GRACE_S + RENEWAL_S)  # the grace may have begun late, on a slow machine
    assert not payer.done()
    assert not waiter.done()
    assert model.asked == 2
    model.gate.set()
    answers = await asyncio.wait_for(asyncio.gather(payer, waiter, newcomer), 60)
    assert {
        outcome.text
        for outcomes in answers
        for outcome in outcomes
        if isinstance(outcome, Completion)
    } == {"paid once"}
    assert model.asked == 2


async def test_what_a_killed_owner_was_paying_for_is_free_again(tmp_path: Path) -> None:
    ledger = await asyncio.to_thread(open_ledger, tmp_path)
    model = ScriptedModel(lambda request: "fine")
    assert await ledger.claim([key_of(model.name, ask("a"))], "killed") == ["yours"]
    pid = await ledger._actor.__ray_call__.remote(lambda _: os.getpid())
    os.kill(pid, signal.SIGKILL)  # so that only the grace is waited for, and not the lease
    assert await asyncio.wait_for(CachedModel(model, ledger).complete([ask("a")]), 90) == [
        Completion("fine")
    ]
