"""What the tests of killing share: one cluster, one endpoint, an undisturbed run of each
experiment, and the count of it all.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chaos.accounts import TrialBudget, answered_keys
from tests.e2e.chaos.endpoint import Endpoint, endpoint
from tests.e2e.chaos.experiments import at_endpoint, mixed, running, written
from tests.e2e.chaos.killing import OutcomeCounts, Undisturbed
from tests.e2e.chaos.victims import Nodes, nodes

OUTCOME_COUNTS = pytest.StashKey[OutcomeCounts]()
LATENCY_S = 0.1
"""Of the endpoint, so that kills hit something."""


@pytest.fixture(scope="session")
def outcome_counts(request: pytest.FixtureRequest) -> OutcomeCounts:
    return request.config.stash.setdefault(OUTCOME_COUNTS, OutcomeCounts())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    outcome_counts = config.stash.get(OUTCOME_COUNTS, None)
    if outcome_counts is not None:
        terminalreporter.write_line(str(outcome_counts))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Nodes]:
    with nodes() as started:
        yield started


@pytest.fixture(scope="session")
def served() -> Iterator[Endpoint]:
    with endpoint(latency_s=LATENCY_S) as started:
        yield started


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="session")
def endpoint_file(folder: Path, served: Endpoint) -> Path:
    return written(at_endpoint(folder, served), folder / "endpoint.yaml")


@pytest.fixture(scope="session")
def mixed_file(folder: Path, served: Endpoint) -> Path:
    return written(mixed(folder, served, gpus=1), folder / "mixed.yaml")


@pytest.fixture(scope="session")
def undisturbed_endpoint(endpoint_file: Path, cluster: Nodes, served: Endpoint) -> Undisturbed:
    """Its accounts are those of a run without deaths: nothing is answered twice, and the ledger
    holds what was answered.
    """
    served.forget()
    found = _undisturbed(endpoint_file, cluster)
    accounts = TrialBudget(found.out, served)
    assert accounts.repeated == []
    assert accounts.strangers() == frozenset()
    return found


@pytest.fixture(scope="session")
def undisturbed_mixed(mixed_file: Path, cluster: Nodes) -> Undisturbed:
    return _undisturbed(mixed_file, cluster)


def _undisturbed(file: Path, cluster: Nodes) -> Undisturbed:
    out = file.parent / f"{file.stem}-undisturbed"
    with running(file, out, cluster.address) as run:
        run.end()
    return Undisturbed(out, len(answered_keys(out)))
