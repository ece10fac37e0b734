"""Every route with inputs that its schema allows, and with others: never a 500, and every answer is
a declared one.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.unit.cluster.service.http.conftest import Small, played, served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

pytestmark = pytest.mark.slow
EXAMPLES = 6
"""Of each route, in each of two ways."""
PATIENCE_S = 60.0
"""For one answer, on any machine; what hangs ends no test in silence."""
MOST_S = 30.0
"""From then on each route is asked once, and only what it allows; the next run has other examples.
"""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def address(small: Small, tmp_path: Path) -> Iterator[str]:
    with served(played(small, tmp_path / "storage", every_s=0.01)) as at:
        yield at


def known_values(address: str, small: Small) -> dict[str, list[str]]:
    """Parts of paths that there are, by the parameter's name; an id is a job's or a file's."""
    files = {"file": ("a.csv", b"input,target\na,b\n")}
    file = requests.post(f"{address}/v1/files", files=files, timeout=PATIENCE_S).json()["id"]
    job = requests.get(f"{address}/v1/optimizations", timeout=PATIENCE_S).json()["data"][0]["id"]
    assert small.abo.best is not None
    return {
        "id": [job, file],
        "trial": [small.abo.trial],
        "candidate": [small.abo.best.id],
        "left": [small.abo.best.id],
        "right": [small.abo.seed_prompt.id],
    }


@pytest.mark.filterwarnings("ignore")
def test_no_input_makes_the_service_fail(address: str, small: Small) -> None:
    document = requests.get(f"{address}/openapi.json", timeout=PATIENCE_S).json()
    known = known_values(address, small)
    ends_at, asked = time.monotonic() + MOST_S, dict[str, int]()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            late = time.monotonic() > ends_at
            if not late or mode is schemathesis.GenerationMode.POSITIVE:
                fuzz(operation, mode, known, address, asked, 1 if late else EXAMPLES)
    ways = {f"{method.upper()} {path}" for path, way in document["paths"].items() for method in way}
    assert asked.keys() == ways
    assert requests.get(f"{address}/healthz", timeout=PATIENCE_S).status_code == 200


def fuzz(
    operation: Any,
    mode: Any,
    known: dict[str, list[str]],
    address: str,
    asked: dict[str, int],
    examples: int,
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        real=st.booleans(),
        choose=st.randoms(use_true_random=False),
    )
    def ask(case: Any, real: bool, choose: Any) -> None:
        for place in (case.path_parameters, case.query):
            for name in place if real and isinstance(place, dict) else ():
                if name in known:
                    place[name] = choose.choice(known[name])
        asked[operation.label] = asked.get(operation.label, 0) + 1
        answer = case.call(base_url=address, timeout=PATIENCE_S)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert answer.json()["error"]["message"]

    with suppress(Unsatisfiable):  # a route without parameters has no input that is not allowed
        ask()
