"""Metrics of this replica of the gateway, for Prometheus.

Every label has few values: routes and models are the known ones, and no text of a caller becomes a
label. Knows no model and no key.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from serving.contracts.refusals import Answer, Declined

CONTENT_TYPE = CONTENT_TYPE_LATEST
CLIENT_GONE = 499
"""The status of a request whose caller did not wait for the answer; it occurs in the metrics
alone. The number is nginx's.
"""
_BUCKETS_S = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)


@dataclass
class Exchange:
    """The labels of one HTTP request."""

    route: str
    model: str = ""
    """A known model; "" where the request names none, or an unknown one."""
    status: int | None = None
    """None until an answer begins."""


class Metrics:
    """Counters of one application, in a registry of their own.

    So two applications in one process do not share counters.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "HTTP requests that ended.", "route", "model", "status"
        )
        self._tokens = self._counter(
            "tokens",
            "Tokens that models read and wrote; cached: those not read again.",
            "model",
            "kind",
        )
        self._answers = self._counter(
            "answers", "Answers of models, by why they ended.", "model", "ended"
        )
        self._refusals = self._counter(
            "refusals", "Requests, or streams under way, that ended in an error.", "reason"
        )
        self._in_flight = Gauge(
            "promptray_door_in_flight", "HTTP requests under way.", registry=self._registry
        )
        self._seconds = Histogram(
            "promptray_door_request_seconds",
            "Time from a request's head to its answer's last byte.",
            ["route", "model"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def _counter(self, noun: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"promptray_door_{noun}", meaning, labels, registry=self._registry)

    @contextmanager
    def watched(self, exchange: Exchange) -> Iterator[None]:
        """Count a request over its whole length, however it ends."""
        # Over the whole request, so that streams count until their last byte.
        began = self._clock()
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()
            self._seconds.labels(exchange.route, exchange.model).observe(self._clock() - began)
            self._requests.labels(
                exchange.route, exchange.model, str(exchange.status or CLIENT_GONE)
            ).inc()

    def refused(self, code: str) -> None:
        """Count a refusal by its code."""
        self._refusals.labels(code).inc()

    def answered(self, model: str, answer: Answer) -> None:
        """Count an answer by why it ended, with its tokens; a refusal has no known tokens."""
        if isinstance(answer, Declined):
            self._answers.labels(
                model, "refusal" if answer.mark == "message" else "content_filter"
            ).inc()
            return
        self._answers.labels(model, "length" if answer.truncated else "stop").inc()
        self._tokens.labels(model, "prompt").inc(answer.prompt_tokens or 0)
        self._tokens.labels(model, "completion").inc(answer.completion_tokens or 0)
        self._tokens.labels(model, "cached").inc(answer.cached_tokens or 0)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
