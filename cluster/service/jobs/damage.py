"""Describes a job whose files cannot be used, by what can still be read of it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cluster.service.core.job_record import DamagedJob, Filed
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError

_log = logging.getLogger(__name__)


def describe_damage(
    store: Store, id: str, number: int, index_entry: Mapping[str, Any], problem: Exception
) -> tuple[DamagedJob, Filed | None]:
    """Return what is known of a damaged job, and its record if at least that can be read.

    Args:
        store: The storage.
        id: The job.
        number: Its number.
        index_entry: Its entry in the index of jobs, which has what its record has not.
        problem: What was raised when its files were read.
    """
    cause = (
        store.plain(problem)
        if isinstance(problem, DataError | StorageError)
        else (
            f"optimizations/{id} cannot be used ({type(problem).__name__}: {problem}); bring "
            "it back from a copy."
        )
    )
    created_at = index_entry.get("created_at")
    damaged = DamagedJob(
        id,
        number,
        str(index_entry.get("owner", "")),
        str(index_entry.get("name", "")),
        created_at if isinstance(created_at, int) else 0,
        f"The files of this job are damaged: {cause}",
    )
    try:
        filed = store.filed(id)
    except Exception:  # noqa: BLE001 - then the index has the owner
        _log.debug("The record of %s cannot be read.", id)
        return damaged, None
    known = replace(
        damaged,
        owner=filed.owner,
        name=filed.request.name,
        created_at=filed.created_at,
        request=filed.request,
    )
    return known, filed
