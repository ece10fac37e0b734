"""The openai package's client for one endpoint, isolated from this process's environment.

The package reads organization, project and headers from variables, for whatever address it gets;
they may be secrets of OpenAI's. They are sent where the address is that of these variables, and
nowhere else. Proxies come from the environment, but never for an endpoint on this machine.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import openai

from optimizer.errors import SettingsError
from serving.clients.proxies import VARIABLES, proxy_errors
from serving.settings.addresses import OPENAI_URL, default_base_url, is_loopback

_OF_OPENAI = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
_NEVER = ("OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_WEBHOOK_SECRET")
_building = threading.Lock()
"""A lock: the environment is shared by all threads."""


def open_client(
    base_url: str, api_key: str, timeout: openai.Timeout, headers: Mapping[str, str]
) -> openai.AsyncOpenAI:
    """Return a client that does not retry and sends these headers along.

    Raises:
        EndpointError: If the environment's proxy cannot be used.
    """
    hidden = [*_NEVER, *(() if _is_openais(base_url) else _OF_OPENAI)]
    if is_loopback(base_url):
        hidden += [spelt for name in VARIABLES for spelt in (name, name.lower())]
    with _building, _hidden(hidden), proxy_errors(base_url):
        # The package's own HTTP client: one handed in was measured ten times slower.
        return openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            default_headers=headers,
        )


def _is_openais(base_url: str) -> bool:
    """Return whether the variables of OpenAI's package are about this address."""
    try:
        return base_url == (default_base_url() or OPENAI_URL)
    except SettingsError:
        return False


@contextmanager
def _hidden(names: list[str]) -> Iterator[None]:
    """Remove variables from the environment for a moment.

    The package has no option to ignore them.
    """
    # The package reads them in its constructor only, so they are hidden just that long.
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
