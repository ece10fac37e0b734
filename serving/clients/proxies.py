"""Proxies that the environment names, as an HTTP client finds them while it is built."""

from collections.abc import Iterator
from contextlib import contextmanager

from optimizer.errors import EndpointError

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextmanager
def proxy_errors(url: str) -> Iterator[None]:
    """Turn errors about the proxy, in building a client for `url`, into an EndpointError."""
    via = (
        f"{url} would be called through the proxy that {', '.join(VARIABLES[:-1])} or "
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
