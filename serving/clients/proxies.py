"""Proxies that the environment names, as an HTTP client finds them while it is built."""

from collections.abc import Iterator
from contextlib import contextmanager

from optimizer.errors import EndpointError

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextmanager
def proxy_faults_told(url: str) -> Iterator[None]:
    """Turn what building a client for `url` raises about its proxy into an EndpointError."""
    via = (
        f"{url} is to be asked through the proxy that {', '.join(VARIABLES[:-1])} or "
        f"{VARIABLES[-1]} names, which "
    )
    try:
        yield
    except ImportError:
        raise EndpointError(
            f"{via}speaks SOCKS and needs a package that is not installed: pip install socksio, or "
            "list the host in "
            "NO_PROXY."
        ) from None
    except ValueError:
        raise EndpointError(
            f"{via}is no proxy's address; set it right, or list the host in NO_PROXY."
        ) from None
