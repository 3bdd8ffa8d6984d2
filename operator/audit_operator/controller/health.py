"""/livez, /readyz and /metrics, served by every replica from before it leads until it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from prometheus_client import CollectorRegistry

    Check = Callable[[], str]


@dataclass(slots=True)
class HealthServer:
    """An HTTP server. A check returns what is wrong, or nothing.

    Attributes:
        registry: of the metrics.
        live: checks whose failure only a restart can mend.
        ready: checks that say whether this replica does its part.
        more: what is shown after the metrics, in the same format.
    """

    registry: CollectorRegistry
    live: Mapping[str, Check]
    ready: Mapping[str, Check]
    more: Callable[[], Awaitable[bytes]] | None = None
    _runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to serve; returns the port."""
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def aclose(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self.live)

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self.ready)

    async def _metrics(self, _request: web.Request) -> web.Response:
        more = await self.more() if self.more else b""
        return web.Response(body=generate_latest(self.registry) + more, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(checks: Mapping[str, Check]) -> web.Response:
    lines = {name: check() for name, check in checks.items()}
    text = "".join(f"[{'-' if wrong else '+'}] {name} {wrong or 'ok'}\n" for name, wrong in lines.items())
    return web.Response(text=text, status=503 if any(lines.values()) else 200)
