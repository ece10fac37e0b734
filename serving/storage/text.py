"""Text that UTF-8 cannot carry: a reply may hold an unpaired surrogate."""


def storable(text: str) -> str:
    r"""Return the text with what UTF-8 cannot hold as backslash escapes.

    Args:
        text: Text of any origin.

    Returns:
        The text itself where UTF-8 can hold it, else the text with each lone surrogate as an escape
        such as ``\udc80``.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return storable_bytes(text).decode()
    return text


def storable_bytes(text: str) -> bytes:
    """Return the text in UTF-8, with lone surrogates as backslash escapes.

    In JSON those read back as they were.
    """
    return text.encode("utf-8", "backslashreplace")
