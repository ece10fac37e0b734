"""Says which requests need a key, count against the rate limit, and take which slot.

Knows paths and no handler.
"""

import re

from serving.gateway.middleware import ROUTE_BY_PATH, AccessRule, access_rule

LISTENERS = 4096
"""Event streams at once on one replica [ours]; each takes a few kB, and no work while nothing
happens.
"""
UPLOADS = "/v1/files"
_CHANGES = frozenset({"POST", "DELETE"})
_PAGE = AccessRule("page", key=False)
_API = re.compile(r"/v1/(files|optimizations|evaluations|jobs|catalogue|me|audit)(?:/|$)")
_EVENTS = re.compile(r"/v1/(?:optimizations|evaluations)/[^/]+/events")


def service_access_rule(method: str, path: str) -> AccessRule:
    """Return the rule for a request to the application.

    What changes something is rate limited like a call of a model; reading only takes a slot, and an
    event stream takes a listener's. The page's own files are open to everybody.
    """
    if path in ROUTE_BY_PATH or path.startswith("/v1/models"):
        return access_rule(method, path)
    if _EVENTS.fullmatch(path):
        return AccessRule("events", slot="listener")
    if path == UPLOADS and method in _CHANGES:
        return AccessRule("files", rated=True, slot="upload", body="form")
    if found := _API.match(path):
        return AccessRule(found[1], rated=method in _CHANGES, slot="request")
    if path.startswith("/v1/"):
        return AccessRule("other")
    return _PAGE
