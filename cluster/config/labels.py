"""Labels of tasks and strategies, and the names of files that are made of them."""

import re
from hashlib import sha256
from typing import Any
from unicodedata import normalize

LONGEST_SLUG = 80
"""Bytes: a trial's name has two of them, and file systems take names of 255."""


def labelled(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the entries, each with a label of its own.

    The label is the entry's title, numbered if it (or one that gives the same file name) was used.
    """
    used: set[str] = set()
    found = []
    for entry in entries:
        label, number = entry.title, 1
        while slug(label) in used:
            number += 1
            label = f"{entry.title} {number}"
        used.add(slug(label))
        found.append(entry.model_copy(update={"label": label}))
    return tuple(found)


def slug(text: str) -> str:
    """Return the text as a part of a file name.

    Texts that look alike give one name: an ö is the same, composed or of two characters.
    """
    whole = re.sub(r"[^\w.]+", "-", normalize("NFC", text)).strip("-.") or "unnamed"
    if len(whole.encode()) <= LONGEST_SLUG:
        return whole
    return (
        whole.encode()[: LONGEST_SLUG - 9].decode(errors="ignore").rstrip("-.")
        + "-"
        + sha256(whole.encode()).hexdigest()[:8]
    )
