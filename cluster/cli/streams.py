"""Make standard streams usable that are closed, full, of another encoding, or read by nobody."""

import os
import sys
from typing import IO, Any, cast


def open_streams() -> None:
    """Open closed streams to nowhere, and let every stream take any character.

    To be called before anything opens a file, which would otherwise get the number of a closed
    stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # for as long as the process lives  # noqa: SIM115
    # For as long as the process lives.
    sys.stdout = _writable(sys.stdout, 1)
    sys.stderr = _writable(sys.stderr, 2)


def _writable(stream: Any, number: int) -> Any:
    if stream is None:
        return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream


def drop(stream: Any) -> None:
    """Redirect a broken stream to nowhere, so that its buffer raises nothing at the end."""
    try:
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    except (OSError, ValueError):
        return


class SafeStream:
    """A text stream that reports its errors instead of raising them."""

    def __init__(self, stream: IO[str], failed: Any) -> None:
        """Wrap a stream.

        Args:
            stream: The stream.
            failed: Called with the exception of a write or flush; what it raises is raised.
        """
        self._stream = stream
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, with escapes for characters that the encoding lacks."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self._stream, "encoding", None) or "ascii"
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as problem:
            self._failed(problem)
            return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as problem:
            self._failed(problem)


def safe_stream(stream: IO[str], failed: Any) -> IO[str]:
    """Return the stream, wrapped, with the type of a stream."""
    return cast("IO[str]", SafeStream(stream, failed))
