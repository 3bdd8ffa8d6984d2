"""A store in this process that answers as it is told, and remembers what it was asked."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict
    body: bytes
    form: dict


@dataclass
class FakeStore:
    url: str = ""
    status: int = 200
    body: bytes = b""
    answers: dict = field(default_factory=dict)  # by path: (status, body)
    by_form: dict = field(default_factory=dict)  # by path: from a form to (status, body), for what it knows better
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int = -1  # bytes of the body, then the connection ends
    asked: list = field(default_factory=list)

    async def handle(self, request):
        form = dict(await request.post()) if request.content_type == "application/x-www-form-urlencoded" else {}
        self.asked.append(Asked(request.method, request.path, dict(request.headers), await request.read(), form))
        await asyncio.sleep(self.delay)
        status, body = self.answers.get(request.path, (self.status, self.body))
        if (answer := self.by_form.get(request.path)) is not None:
            status, body = await answer(form)
        if self.cut_after < 0:
            return web.Response(status=status, body=body, headers=self.headers)
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: self.cut_after])
        request.transport.abort()
        return response


@asynccontextmanager
async def serving(context=None):
    """Serve on a free loopback port, with TLS where there is a context."""
    store = FakeStore()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", store.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    store.url = f"{'https' if context else 'http'}://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield store
    finally:
        await runner.cleanup()
