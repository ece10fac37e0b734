"""Names in the form of Ray's metrics: a tag's value has to be ASCII, or recording it raises."""

from hashlib import sha256

LONGEST_LABEL = 200
"""Maximum number of characters [ours]: a name is for reading in a dashboard."""


def metric_label(name: str) -> str:
    """Return the name in printable ASCII; different names stay different.

    Other characters become Python's escapes.
    """
    text = name.encode("unicode_escape").decode("ascii")
    if len(text) <= LONGEST_LABEL:
        return text
    # A digest of the whole name, so that two long names stay different.
    digest = sha256(text.encode()).hexdigest()[:16]
    return f"{text[: LONGEST_LABEL - len(digest) - 1]}-{digest}"
