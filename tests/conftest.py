"""Fixtures that all areas share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One small Ray for the whole test session, ended with it; nothing of another Ray on this machine is touched."""
    import ray
    from ray import serve

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", namespace="tests",
        object_store_memory=100_000_000)
    yield
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public task files beside the project; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public task files are not beside the project")
    return folder
