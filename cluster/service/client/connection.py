"""The connection of a client to a service: its address and key, requests, and pages of a list."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel

from cluster.service.client.responses import read, refusal
from cluster.service.client.retrying import Retrying
from cluster.service.schemas import Page, kind_of
from optimizer.errors import EndpointError, SettingsError, shortened
from serving.clients.proxies import proxy_errors
from serving.settings.addresses import is_loopback, read_base_url
from serving.settings.api_key import key_in_environment, sendable

A = TypeVar("A", bound=BaseModel)
KEY_VARIABLE = "PROMPTRAY_API_KEY"
ADDRESS_VARIABLE = "PROMPTRAY_SERVICE"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0


class Connection:
    """The connection to one service."""

    def __init__(
        self,
        address: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to no service yet.

        Args:
            address: The service's address; None: that of PROMPTRAY_SERVICE, or this machine's.
            key: The API key; None: that of PROMPTRAY_API_KEY, or none.
            transport: Sends the requests; None: over HTTP.
            sleep: Waits for so many seconds.

        Raises:
            SettingsError: The address is none, or the key cannot be sent.
        """
        place = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
        try:
            self.address = read_base_url(place).removesuffix("/v1")
        except ValueError:
            raise SettingsError(
                f"{shortened(place)} is no address of a service; it looks like {DEFAULT_ADDRESS}."
            ) from None
        key = sendable(key, "the call") if key else key_in_environment(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retrying = Retrying(self.address, sleep)
        with proxy_errors(self.address):
            self._http = httpx2.Client(
                base_url=self.address,
                headers=headers,
                timeout=TIMEOUT_S,
                transport=transport,
                follow_redirects=False,
                trust_env=not is_loopback(self.address),
            )  # this machine is never reached by way of a proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, kind: type[A], path: str, **params: Any) -> A:
        return read(kind, self._request("GET", path, params=given(**params)))

    def _pages(self, kind: type[Page[A]], path: str, **params: Any) -> Iterator[A]:
        while True:
            page = self._get(kind, path, **params)
            yield from page.data
            if not page.has_more or page.last_id is None:
                return
            params["after"] = page.last_id

    def _request(self, method: str, path: str, **how: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **how)
        except httpx2.TransportError as problem:
            raise EndpointError(
                f"The service {self.address} does not answer ({type(problem).__name__}: {problem})."
            ) from problem
        if answer.status_code >= 300:
            raise refusal(answer)
        return answer


def job_path(id: str) -> str:
    """Return the path of a job, which is by its kind."""
    return f"/v1/{kind_of(id)}s/{part(id)}"


def body(request: BaseModel) -> dict[str, Any]:
    """Return a request as JSON."""
    return request.model_dump(mode="json")


def part(text: str) -> str:
    """Quote a text as one part of a path, whatever it contains."""
    return quote(text, safe="")


def given(**params: Any) -> Mapping[str, Any]:
    """Return the parameters that are not None."""
    return {name: value for name, value in params.items() if value is not None}
