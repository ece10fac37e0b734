"""An actor that says nothing is not waited for without end."""

import asyncio

import pytest

from optimizer.errors import StorageError
from serving.runtime.actors import answered


async def test_an_actor_that_answers_late_is_an_error_in_one_sentence() -> None:
    with pytest.raises(
        StorageError,
        match=r"^The process of the ledger has not answered for 0\.05 s; it is not known whether",
    ):
        await answered(asyncio.Event().wait(), "the ledger", 0.05)
