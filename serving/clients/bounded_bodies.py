"""Limits on the size of an endpoint's reply, so that a few kB cannot become gigabytes.

A reply is limited where it comes in, and unpacked here. It works on the client of the openai
package by a hook, whatever else is set in it.
"""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2
import openai

MOST_BYTES = 16 * 2**20
"""Maximum size of one reply, unpacked [ours]: some millions of tokens."""
ACCEPTED = "gzip, deflate"
"""Encodings that can be undone a bounded piece at a time."""
_PIECE_BYTES = 2**16


class ReplyRefused(ValueError):
    """A reply that is not read to its end; the message states what the endpoint did."""


def bound_replies(client: openai.AsyncOpenAI, most_bytes: int = MOST_BYTES) -> None:
    """Make every reply to this client raise ReplyRefused if it is too long or packed unasked.

    It is raised while the reply is read.
    """

    async def bound(response: httpx2.Response) -> None:
        packings = [
            one.strip().lower()
            for one in response.headers.get_list("content-encoding", split_commas=True)
        ]
        packings = [one for one in packings if one != "identity"]
        if packings not in ([], ["gzip"], ["x-gzip"], ["deflate"]):
            raise ReplyRefused(
                f"answers packed as {', '.join(packings)[:100]}, which was not requested"
            )
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, packings, most_bytes)
        # What comes out of the stream is plain.
        if packings:
            del response.headers["content-encoding"]

    # The package offers no other access; a client passed in was measured ten times slower.
    http = client._client
    hooks = http.event_hooks
    http.event_hooks = {**hooks, "response": [*hooks.get("response", []), bound]}


class _Bounded(httpx2.AsyncByteStream):
    """A reply's bytes, unpacked."""

    def __init__(
        self, packed: httpx2.AsyncByteStream, packings: list[str], most_bytes: int
    ) -> None:
        self._packed = packed
        self._unpacking = _Unpacking(packings[0]) if packings else None
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for data in self._packed:
            for piece in self._unpacking.pieces(data) if self._unpacking else (data,):
                read += len(piece)
                if read > self._most_bytes:
                    raise ReplyRefused(
                        f"answers with more than {self._most_bytes // 2**20 or 1} MiB"
                    )
                yield piece
        if self._unpacking is not None and not self._unpacking.whole:
            raise httpx2.DecodingError("broke off a packed answer")

    async def aclose(self) -> None:
        """Close the packed stream."""
        await self._packed.aclose()


class _Unpacking:
    """Undoes gzip or deflate, which some write with and some without its own head."""

    def __init__(self, packing: str) -> None:
        self._bits = zlib.MAX_WBITS if packing == "deflate" else zlib.MAX_WBITS | 16
        self._unpacker = zlib.decompressobj(self._bits)
        self._began = False

    @property
    def whole(self) -> bool:
        """Return whether the packed data has come to its end."""
        return self._unpacker.eof or not self._began

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes hold, each piece bounded.

        Raises:
            httpx2.DecodingError: If they are not packed as declared.
        """
        while data:
            # A gzip body may be several members, one after the other.
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(self._bits)
            yield self._piece(data)
            data = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        while not self._unpacker.eof and (piece := self._piece(b"")):
            yield piece

    def _piece(self, data: bytes) -> bytes:
        try:
            piece = self._unpacker.decompress(data, _PIECE_BYTES)
        except zlib.error:
            if self._began or self._bits != zlib.MAX_WBITS:
                raise httpx2.DecodingError("something that is not packed as it says") from None
            self._began, self._bits = True, -zlib.MAX_WBITS
            self._unpacker = zlib.decompressobj(self._bits)
            return self._piece(data)
        self._began = True
        return piece
