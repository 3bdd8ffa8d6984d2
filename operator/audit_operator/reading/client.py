"""Asking a reader: the other side of `server`."""

from __future__ import annotations

import json
import ssl
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from audit_operator.reading.answer import ERROR, Piece, broken
from audit_operator.reading.server import PATH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

_LONGEST_LINE = 64 * 2**20
_MOST_OF_REFUSAL = 2**16
_CONNECT, _SILENCE = 10.0, 90.0


class NotUsable(ValueError):  # noqa: N818  # the user's, not ours
    """The address or the authority cannot be used."""


@dataclass(frozen=True, slots=True)
class ReaderClient:
    """Asks one reader.

    Attributes:
        base: its address, without the path.
        token: who asks, anew for each question.
        context: whose certificates are trusted.
    """

    base: str
    token: Callable[[], Awaitable[str]] = field(repr=False)
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @classmethod
    def to(cls, server: str, ca: Path | None, token: Callable[[], Awaitable[str]]) -> ReaderClient:
        """For an address that somebody has given.

        Raises:
            NotUsable: a token would go out in clear, or nothing can be trusted.
        """
        try:
            parts = urlsplit(server)
            context = ssl.create_default_context(cafile=ca)
        except (ValueError, OSError) as error:
            raise NotUsable(f"the address or the authority of the reader cannot be used: {error}") from error
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
            raise NotUsable("the address of the reader must be like https://HOST:PORT: a token goes there")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return cls(server.rstrip("/"), token, context)

    async def ask(self, parameters: Mapping[str, str]) -> AsyncGenerator[Piece, None]:
        """The pieces of an answer. Whatever goes wrong on the way is the last one."""
        try:
            async with aclosing(self._ask(parameters)) as pieces:
                async for each in pieces:
                    yield each
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            yield broken("Unreachable", f"the reader cannot be asked: {str(error) or type(error).__name__}")
        except (ValueError, TypeError):
            yield broken("AnswerMalformed", "what answers is no reader")

    async def _ask(self, parameters: Mapping[str, str]) -> AsyncGenerator[Piece, None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
        headers = {"Authorization": f"Bearer {await self.token()}", "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=_LONGEST_LINE) as session,
            session.get(
                self.base + PATH, params=dict(parameters), headers=headers, ssl=self.context, allow_redirects=False
            ) as response,
        ):
            if response.status != HTTPStatus.OK:
                yield _refusal(response.status, await response.content.read(_MOST_OF_REFUSAL))
                return
            async for line in response.content:
                piece = json.loads(line)
                if not isinstance(piece, dict):
                    raise TypeError
                yield piece


def _refusal(status: int, body: bytes) -> Piece:
    try:
        piece = json.loads(body)
        return broken(str(piece[ERROR]["reason"]), f"{piece[ERROR]['message']} (HTTP status {status})")
    except (ValueError, KeyError, TypeError):
        return broken("Refused", f"what answers is no reader: HTTP status {status}")
