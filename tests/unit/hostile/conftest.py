"""What all tests of hostile input share."""

from collections.abc import Iterator

import pytest

from tests.contracts.hurry import compiled_templates


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> Iterator[None]:
    with compiled_templates():
        yield
