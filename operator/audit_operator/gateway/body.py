"""Reading the body of a request: never more of it than is allowed, and never for longer."""

from __future__ import annotations

import asyncio
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from audit_operator.gateway.load import Share

_PIECE = 2**20
_GZIP = 16 + zlib.MAX_WBITS


class Refused(Exception):  # noqa: N818  # an answer
    """The request is answered with this status; the message says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Encoding(Protocol):
    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk says, in pieces."""
        ...

    def end(self) -> None:
        """There is no chunk after the last one."""
        ...


async def read(chunks: AsyncIterator[bytes], encoding: str, most: int, share: Share) -> bytes:
    """The body, unpacked; at most `most` bytes.

    Args:
        chunks: of the body as it is sent.
        encoding: value of Content-Encoding; empty for none.
        most: bytes.
        share: that must have room for it.

    Raises:
        Refused: it is too large, or not encoded as is said.
        Overloaded: there is no room for it now.
    """
    unpacking = _encoding(encoding)
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        for piece in unpacking.unpack(chunk):
            size += len(piece)
            if size > most:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {most} bytes, unpacked")
            share.take(len(piece))
            pieces.append(piece)
            if len(pieces) % 16 == 0:
                await asyncio.sleep(0)  # a body that is all there, or all zeros, must not hold up the others
    unpacking.end()
    return b"".join(pieces)


def _encoding(name: str) -> _Encoding:
    match name.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip":
            return _Gzip()
    raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only gzip is known as Content-Encoding")


class _Plain:
    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        pass


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                if self._stream.eof:
                    raise Refused(HTTPStatus.BAD_REQUEST, "something stands behind the gzip stream")
                piece = self._stream.decompress(chunk, _PIECE)
                chunk = self._stream.unconsumed_tail or self._stream.unused_data
                if piece:
                    yield piece
        except zlib.error as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is no gzip stream") from error

    def end(self) -> None:
        if not self._stream.eof:
            raise Refused(HTTPStatus.BAD_REQUEST, "the gzip stream ends in the middle")
