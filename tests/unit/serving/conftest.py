"""What all tests of the models share."""

from collections.abc import Iterator

import pytest

from tests.contracts.hurry import hurried_probes


@pytest.fixture(scope="session", autouse=True)
def _hurried() -> Iterator[None]:
    with hurried_probes():
        yield
