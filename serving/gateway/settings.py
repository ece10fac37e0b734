"""Settings of the gateway: its address, the places of its keys, and its limits.

Small and strict; they hold no key, and build nothing.
"""

import ipaddress
from collections.abc import Sized
from pathlib import Path

from pydantic import Field, field_validator

from optimizer.errors import SettingsError
from optimizer.paths import whole
from serving.gateway.api_keys import Keys
from serving.gateway.origins import address_of
from serving.settings.base import Settings


class GatewaySettings(Settings):
    """Settings of the gateway; every limit is that of one replica.

    `host` and `port` are those that `open_gateway` starts Serve with. Where a deployment file
    starts Serve, its http_options decide.
    """

    host: str = Field("127.0.0.1", min_length=1)
    """The address to listen on. Any but a loopback address is open to other machines, and needs
    keys.
    """
    port: int = Field(8000, ge=1, le=65535)
    allowed_hosts: tuple[str, ...] = Field((), max_length=100)
    """Names of the gateway, beside loopback's and `host`: those of a proxy before it, such as
    `prompts.example.org` or `prompts.example.org:8443`. Without keys, a request by any other
    name is refused; a page of such a name may call it, keys or not.
    """
    api_key_env: str | None = Field(None, min_length=1)
    """The environment variable with an API key that callers must have; read where the gateway
    runs.
    """
    api_keys_file: Path | None = None
    """A file with an API key on each line; empty lines and lines that begin with # do not count.

    Read where the gateway runs.
    """
    max_body_bytes: int = Field(2 * 2**20, ge=1024, le=2**30)
    """A longer request is answered with 413. 2 MiB are about half a million tokens of English: a
    batch of prompts.
    """
    body_timeout_s: float = Field(30.0, gt=0)
    """A request whose body has not arrived after so many seconds is answered with 408."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Maximum number of requests a minute from one key; more are answered with 429. None: no
    limit. All callers share it where no keys are required.
    """
    max_in_flight: int = Field(256, ge=1, le=10_000)
    """Maximum number of concurrent requests; more are answered with 429."""
    max_in_flight_per_owner: int | None = Field(None, ge=1, le=10_000)
    """Maximum number of concurrent requests of one owner, so that nobody uses up all. None: half
    of them where keys are required; without keys there is one owner, who may have all.
    """
    replicas: int = Field(1, ge=1, le=64)
    deliver_timeout_s: float = Field(600.0, gt=0)
    """A request that is not answered in full after so many seconds is cancelled: 504."""

    @property
    def most_per_owner(self) -> int:
        """Return the maximum number of concurrent requests of one owner among several."""
        return self.max_in_flight_per_owner or max(1, self.max_in_flight // 2)

    def keys(self) -> Keys:
        """Return the keys, from this machine's environment and files.

        Raises:
            SettingsError: If a source that is named holds no key.
        """
        return Keys.read(self.api_key_env, self.api_keys_file)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        # Checked here: a name that never matches would lock its users out silently.
        for name in names:
            if address_of(name) is None:
                raise ValueError(
                    f"{name[:100]!r} is no name of a host; one looks like prompts.example.org, or "
                    "has its :PORT"
                )
        return names

    @field_validator("api_keys_file")
    @classmethod
    def _whole_path(cls, file: Path | None) -> Path | None:
        """Return the absolute path: a replica has another working directory."""
        return file and whole(file)


def expect_guarded(host: str | None, keys: Sized) -> None:
    """Check that no other machine could come in without a key.

    `host` None: no port is open.

    Raises:
        SettingsError: If one could.
    """
    if not len(keys) and not only_this_machine(host):
        raise SettingsError(
            f"Other machines could use the models through {host}: name a source of API keys "
            "(api_key_env or api_keys_file), "
            "or listen on 127.0.0.1."
        )


def only_this_machine(host: str | None) -> bool:
    """Return whether no other machine can reach the address; None: no port is open."""
    if host is None:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
