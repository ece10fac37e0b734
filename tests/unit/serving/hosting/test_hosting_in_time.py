"""Hosting has an end: a model that does not start in time is told of in one sentence.

Serve is played here.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.schema import ApplicationStatus

from optimizer.errors import EndpointError
from serving.hosting import deployment


class Serve:
    """Applications that never run."""

    def __init__(self, message: str, gone: bool = False) -> None:
        self._message = message
        self._gone = gone
        self._names: list[str] = []

    def run_many(self, targets: Sequence[Any], **how: Any) -> None:
        self._names = [target.name for target in targets]

    def status(self) -> Any:
        state = SimpleNamespace(
            status=ApplicationStatus.DEPLOYING,
            message="",
            deployments={"m": SimpleNamespace(message=self._message)},
        )
        return SimpleNamespace(applications={} if self._gone else dict.fromkeys(self._names, state))


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (
            Serve("1 replica waits for 1 GPU."),
            r"^model-1 could not be hosted \(1 replica waits for 1 GPU\) within 0\.2 s\.$",
        ),
        (Serve(""), r"^model-1 could not be hosted within 0\.2 s\.$"),
        (Serve("", gone=True), "^model-1 was removed from this cluster"),
    ],
)
def test_a_model_that_does_not_start_in_time_is_told_of_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, said: str
) -> None:
    monkeypatch.setattr(deployment, "serve", serve)
    with pytest.raises(EndpointError, match=said):
        deployment.start([SimpleNamespace(name="model-1")], within_s=0.2)  # type: ignore[list-item]
