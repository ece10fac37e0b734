"""The service that tests of several folders share."""

from collections.abc import Iterator

import pytest

from tests.e2e.service.up import Up, up


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`promptray up` with the built-in models. One test kills it and starts it again, so that the
    others are tests of a service that has lived through that.
    """
    with up(tmp_path_factory.mktemp("service")) as service:
        yield service
