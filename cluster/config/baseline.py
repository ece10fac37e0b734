"""The baseline of a task as its settings name it: a text, or a file beside the settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optimizer.errors import SettingsError, shortened
from optimizer.paths import expanded

MOST_BYTES = 2_000_000
"""Maximum size of a baseline's file [ours]: no model reads a longer prompt."""


def baseline_text(given: Any, folder: Path | None, may_read: bool) -> Any:
    """Return the text of a baseline; what is no mapping is returned as it is.

    Args:
        given: A text, or `{file: system.md}`.
        folder: The folder of the settings file; None for the present one.
        may_read: Whether files may be read for these settings.

    Raises:
        SettingsError: The file cannot be read.
    """
    if not isinstance(given, Mapping):
        return given
    name = given.get("file")
    if list(given) != ["file"] or not isinstance(name, str):
        raise SettingsError("A baseline is a text, or {file: system.md}, a file beside these.")
    if not may_read:
        raise SettingsError("A baseline must be given as a text here, and not as a file.")
    path = (folder or Path()) / expanded(name)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(
                f"The baseline {shortened(str(path))} has more than {MOST_BYTES:,} bytes; give a "
                "shorter one."
            )
        # The line break at a file's end is an editor's, and no part of the prompt.
        return path.read_text("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"The baseline {shortened(str(path))} cannot be read ({reason}); name a text file, "
            "relative to the settings file."
        ) from problem
