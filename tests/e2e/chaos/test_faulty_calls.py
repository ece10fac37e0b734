"""Nearly every third call of an experiment fails, in every way that an endpoint can: it ends as one
whose calls all succeed.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.chaos.comparison import differences
from tests.e2e.chaos.endpoint import Endpoint
from tests.e2e.chaos.experiments import at_endpoint, running, written
from tests.e2e.chaos.faults import FAULTS
from tests.e2e.chaos.killing import SEED, Undisturbed
from tests.e2e.chaos.victims import Nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
SHARE = 0.3
ASKING = {"attempts": 10, "timeout_s": 2.0, "max_in_flight": 16}


def test_faulty_calls_change_nothing(
    undisturbed_endpoint: Undisturbed, cluster: Nodes, served: Endpoint, folder: Path
) -> None:
    file = written(at_endpoint(folder, served, **ASKING), folder / "faulty.yaml")
    served.forget()
    served.seed, served.fault_share = SEED, SHARE
    try:
        with running(file, folder / "faulty", cluster.address) as run:
            run.end()
    finally:
        served.fault_share = 0.0
    played = Counter(call.fault for call in served.calls if call.fault)
    assert set(played) == set(FAULTS), f"seed {SEED}"
    assert 0.2 < played.total() / len(served.calls) < 0.4
    assert differences(undisturbed_endpoint.out, folder / "faulty", ASKING) == [], (
        f"seed {SEED}, faults: {played}"
    )
