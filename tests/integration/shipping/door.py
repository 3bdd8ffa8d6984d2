"""A way to a store that can be shut: it refuses, answers late, or nobody listens there.

door = Door(store)
async with door.open():
    door.status = 503
"""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST_REQUEST = 2**26
_REDIRECTS = range(300, 400)
_ADDRESSING = frozenset({"host", "content-length"})


class Door:
    """Passes on what it is asked.

    Attributes:
        url: where it is.
        target: address of the store.
        status: what it answers in the store's place; 0 passes on.
        delay: seconds between the store's answer and its own.
        closed: what begins with one of these paths is answered with `closed_with`.
        word: what holds it is answered with `closed_with`, as by a firewall that reads what passes.
        accepted: values of the Authorization header that it lets in; None lets everybody in.
        refused, passed: requests so far.
        authorizations: each value that was sent, in order.
    """

    def __init__(self, target: str, port: int | None = None) -> None:
        self.port = port or next(free_ports())
        self.url = f"http://127.0.0.1:{self.port}"
        self.target, self.status, self.delay = target, 0, 0.0
        self.closed: tuple[str, ...] = ()
        self.closed_with = 403
        self.word = b""
        self.accepted: frozenset[str] | None = None
        self.refused = self.passed = 0
        self.authorizations: list[str | None] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve until the end of the block."""
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
        await self._runner.setup()
        # The body is passed on as it came: compressed.
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            try:
                await self._listen()
                yield
            finally:
                await self._runner.cleanup()

    @asynccontextmanager
    async def absent(self) -> AsyncIterator[None]:
        """Nobody listens until the end of the block."""
        for site in list(self._runner.sites):
            await site.stop()
        yield
        await self._listen()

    async def _listen(self) -> None:
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _handle(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization")
        self.authorizations.append(authorization)
        body = await request.read()
        status = self.status or (401 if self.accepted is not None and authorization not in self.accepted else 0)
        status = self.closed_with if not status and self.closed and request.path.startswith(self.closed) else status
        if not status and self.word and self.word in _plain(request, body):
            status = self.closed_with
        if status:
            self.refused += 1
            return web.Response(status=status, headers={"Location": "/login"} if status in _REDIRECTS else {})
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _ADDRESSING}
        url = self.target + request.path_qs
        try:
            async with self._session.request(request.method, url, data=body, headers=headers) as answer:
                self.passed += answer.ok
                kept = {name: value for name, value in answer.headers.items() if name.lower() == "content-encoding"}
                response = web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (TimeoutError, aiohttp.ClientError):
            return web.Response(status=502)
        await asyncio.sleep(self.delay)
        return response


def _plain(request: web.Request, body: bytes) -> bytes:
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
