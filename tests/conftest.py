"""Fixtures that all areas share."""

import gc
import itertools
import os
import shutil
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpcore2
import pytest
from hypothesis import settings

from tests import fast, order
from tests.contracts.examples import QUICK, SHARE

ROOT = Path(__file__).parents[1]
# How long an example takes says more about the machine's load than about the code; what must be
# fast is a benchmark.
settings.register_profile("any load", deadline=None)
settings.load_profile("any load")
settings.register_profile(QUICK, deadline=None, max_examples=100 // SHARE)
# One thread for a matrix, where nothing else is said: several wait for each other in a loop, and
# where others are at work on the same cores that wait takes minutes. Read when numpy and
# CTranslate2 are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# How often callers tell Serve's autoscaler of their load, and how soon one that tells no more is
# forgotten; Serve's own 10 s would be waited for. Read when Ray is imported.
os.environ.setdefault("RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "1")
os.environ.setdefault("RAY_SERVE_MIN_HANDLE_METRICS_TIMEOUT_S", "3")


# One TLS context for all HTTP clients of a process: reading the machine's certificates takes 30 ms,
# and no test has another machine's server answer.
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)


IN_MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes; a whole run of the tests leaves less than a tenth of that behind."""


def pytest_configure(config: pytest.Config) -> None:
    """Let tests write into memory, where there is room: what is written to last, as ledgers and
    results are, takes a disk several milliseconds, and a busy one many more, thousands of times.
    """
    if (
        config.option.basetemp is None
        and os.access(IN_MEMORY, os.W_OK)
        and shutil.disk_usage(IN_MEMORY).free > ROOM
    ):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    fast.mark(items)
    order.longest_first(items, Path(__file__).parent)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the modules and tests that are there for good out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return who gives tests to processes; None leaves it to xdist."""
    return order.FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with fast.GUARD.watching(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with fast.GUARD.watching(item):
        return (yield)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One small Ray for the whole test session, ended with it; nothing of another Ray on this
    machine is touched.
    """
    import ray
    from ray import serve

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        namespace="tests",
        object_store_memory=100_000_000,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "serving.hosting.deployment.HEALTH_CHECK_EVERY_S", 1.0
        )  # a dead replica is to be seen soon
        yield
    serve.shutdown()
    ray.shutdown()


@pytest.fixture
def on_local_ray(local_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that this test starts run on the session's Ray, where the models that one has hosted
    stay for the next.
    """
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of a server in this process that speaks S3's protocol, with the keys for it in
    the environment.
    """
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "an-id")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        yield f"http://{host}:{port}"
    server.stop()


_buckets = itertools.count(1)


@pytest.fixture
def bucket(object_store: str) -> str:
    """The URI of a new and empty place on the object store."""
    name = f"bucket-{next(_buckets)}"
    urlopen(Request(f"{object_store}/{name}", method="PUT")).close()
    return f"s3://{name}/out?endpoint_override={object_store}&scheme=http"


@pytest.fixture(params=["on this machine", "on an object store"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, on each kind of file system."""
    return (
        str(tmp_path / "out")
        if request.param == "on this machine"
        else str(request.getfixturevalue("bucket"))
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public task files beside the project; tests that need it skip where it is
    absent.
    """
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public task files are not beside the project")
    return folder
