"""Names as Ray's metrics take them: a tag's value has to be ASCII, or recording it raises."""

from hashlib import sha256

LONGEST_LABEL = 200
"""Characters [ours]: a name is for reading in a dashboard."""


def metric_label(name: str) -> str:
    """Return the name in printable ASCII, what is beyond that written as Python's escapes;
    different names stay different.
    """
    text = name.encode("unicode_escape").decode("ascii")
    if len(text) <= LONGEST_LABEL:
        return text
    digest = sha256(text.encode()).hexdigest()[:16]
    return f"{text[: LONGEST_LABEL - len(digest) - 1]}-{digest}"
