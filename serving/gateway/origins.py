"""Checks of a request's host name, page and body type.

Browsers report these, and no page can forge them. A gateway without keys admits everybody who
reaches it, and every page that a browser of this machine shows reaches loopback: by a name of its
own that it makes point here (DNS rebinding), or by sending what needs no permission (forms,
`text/plain`, an image). So without keys a request has to use a name of the gateway's; from another
site's page it is refused, keys or not; and a body has to be JSON, which no page may send to another
site without permission. With keys the name is no guard: it is whatever proxies and clusters make of
it, and a page that came by a name of its own has no key. Knows no application.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from starlette.datastructures import Headers

from serving.gateway.errors import Refused

LOOPBACK_NAME = "localhost"
_ADDRESS = re.compile(
    r"(\[[0-9A-Fa-f:.]{2,45}\]|\w(?:[\w.-]{0,252}\w)?)\.?(?::([0-9]{1,5}))?", re.ASCII
)
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)", re.ASCII | re.IGNORECASE)
_PORT_BY_SCHEME = {"http": 80, "https": 443}
_OWN_SITE = frozenset({"same-origin", "none"})
"""Fetch Metadata of a request from the gateway's own page, and of one that a person has typed or
bookmarked.
"""
_MEDIA_BY_BODY = {"json": "application/json", "form": "multipart/form-data"}
Body = Literal["json", "form"]


class Address(NamedTuple):
    """A host in normal form, and its port where one is named."""

    host: str
    port: int | None

    def on(self, scheme: str) -> "Address":
        """Return the address with the port that the scheme implies."""
        return Address(self.host, self.port or _PORT_BY_SCHEME[scheme])


def address_of(text: str) -> Address | None:
    """Return the address in a Host header; None for an invalid one.

    It has no case, trailing dot or alternative notation of an IP address.
    """
    found = _ADDRESS.fullmatch(text.strip(" \t"))
    if found is None or int(found[2] or 1) not in range(1, 65536):
        return None
    host = found[1].lower()
    try:
        host = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        if host.startswith("["):
            return None
    return Address(host, int(found[2]) if found[2] else None)


class Sites:
    """The names of a gateway.

    They are those of loopback, the address that it listens on, and what its operator lists.
    """

    def __init__(self, host: str, allowed_hosts: Iterable[str] = ()) -> None:
        self._own = address_of(f"[{host}]" if ":" in host else host)
        self._listed = frozenset(one for one in map(address_of, allowed_hosts) if one)

    def check_name(self, headers: Headers) -> None:
        """Check the host name of a request without a key.

        Raises:
            Refused: 403, if it is not one of the gateway's names, or missing.
        """
        named = _named(headers)
        if named is None or not (_is_loopback(named.host) or self._is_ours(named)):
            raise Refused(
                403,
                "unknown_host",
                "Without keys, the service answers by its own names alone, such as 127.0.0.1 and "
                "localhost: "
                "use one of them, or let its operator add this name to allowed_hosts of the "
                "gateway.",
            )

    def check_page(self, headers: Headers) -> None:
        """Check that no page of another site makes the request.

        A program that is no browser sends no such headers.

        Raises:
            Refused: 403, if one does.
        """
        if not all(site.strip().lower() in _OWN_SITE for site in headers.getlist("sec-fetch-site")):
            raise _foreign()
        # The name under which the page reached the service is its own site.
        reached = _named(headers)
        for origin in headers.getlist("origin"):
            found = _ORIGIN.fullmatch(origin.strip(" \t"))
            page = address_of(found[2]) if found else None
            # `null` too: a page that hides its origin.
            if found is None or page is None:
                raise _foreign()
            ours = {one.on(found[1].lower()) for one in (reached, *self._listed) if one}
            if page.on(found[1].lower()) not in ours:
                raise _foreign()

    def _is_ours(self, named: Address) -> bool:
        """Return whether the name is one of the gateway's.

        A name that is listed without a port goes with any: browsers may come by one that is
        forwarded to the gateway's.
        """
        if self._own and named.host == self._own.host:
            return True
        ports = {named.port} if named.port else set(_PORT_BY_SCHEME.values())
        return any(
            one.host == named.host and (one.port is None or one.port in ports)
            for one in self._listed
        )


def check_body(headers: Headers, body: Body) -> None:
    """Check the declared type of a body, where there is one.

    Raises:
        Refused: 415, if it is not the type that is read here.
    """
    if headers.get("content-length", "0").strip() == "0" and "transfer-encoding" not in headers:
        return
    types = [one.partition(";")[0].strip().lower() for one in headers.getlist("content-type")]
    if types != [_MEDIA_BY_BODY[body]]:
        raise Refused(
            415,
            "unsupported_media_type",
            f"The body must be {_MEDIA_BY_BODY[body]}: set the header Content-Type.",
        )


def _named(headers: Headers) -> Address | None:
    """Return the host that the request names; None where it names none, or two."""
    given = headers.getlist("host")
    return address_of(given[0]) if len(given) == 1 else None


def _is_loopback(host: str) -> bool:
    if host == LOOPBACK_NAME:
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _foreign() -> Refused:
    return Refused(
        403, "cross_site", "A page of another site asks for this; only the service's own page may."
    )
