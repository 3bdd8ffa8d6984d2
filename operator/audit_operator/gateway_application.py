"""The composition root of a gateway: a receiver of what API servers post, before a shipper's collector."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import ClientSession

from audit_operator.cluster.connection import connect
from audit_operator.controller import logs
from audit_operator.controller.gateway_metrics import GatewayMetrics
from audit_operator.controller.health import HealthServer
from audit_operator.controller.lifetime import stop_on_signals
from audit_operator.gateway.handover import Handover
from audit_operator.gateway.listener import Listener, TlsFiles
from audit_operator.gateway.receiver import PATH, Receiver
from audit_operator.settings import SettingsError
from audit_operator.shipper_application import Shipper

if TYPE_CHECKING:
    from audit_operator.settings import Settings

_LOG = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run the gateway until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConnectionConfigError: there are no usable credentials.
        SettingsError: the certificates or the port cannot be used.
        OSError: the folder cannot be used.
    """
    logs.configure(settings.log_level)
    settings.shipper_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        connection = await connect(settings.kubeconfig, settings.context)
        stack.push_async_callback(connection.aclose)
        gateway = Gateway(settings, Shipper(settings, connection), await stack.enter_async_context(ClientSession()))
        health = HealthServer(gateway.shipper.registry, {}, {"collector": gateway.unready}, gateway.shipper.counts)
        stack.push_async_callback(health.aclose)
        await health.start(settings.listen_host, settings.listen_port)
        return await gateway.run(stop)


class Gateway:
    """One replica of a gateway."""

    def __init__(self, settings: Settings, shipper: Shipper, session: ClientSession) -> None:
        """Starts nothing yet."""
        self._settings = settings
        self.shipper = shipper
        allowed = [name for each in settings.gateway_clients.split(",") if (name := each.strip())]
        client_ca = None if settings.gateway_anonymous else settings.gateway_client_ca
        self._receiver = Receiver(
            Handover(session, lambda: shipper.collector.webhook), allowed, current=lambda: self._listener.context
        )
        self._listener = Listener(
            self._receiver.application(), TlsFiles(settings.gateway_certificate, settings.gateway_key, client_ca)
        )
        shipper.registry.register(GatewayMetrics(self._receiver, self._listener))

    async def run(self, stop: asyncio.Event) -> int:
        """Take and ship until `stop` is set; what was begun is answered before the collector ends."""
        closed = asyncio.Event()
        # Once, before requests and the collector's keeper both ask for them: two choices at once would not agree.
        self.shipper.collector.prepare()
        await asyncio.to_thread(lambda: self.shipper.collector.webhook)
        try:
            port = await self._listener.start(self._settings.gateway_host, self._settings.gateway_port)
        except OSError as error:
            await self._listener.aclose()
            raise SettingsError(f"the gateway's certificates or port cannot be used: {error}") from error
        extra = {"object": self._settings.control_plane, "reason": "Started"}
        _LOG.info("Gateway %s takes events on port %d, at %s", self._settings.node, port, PATH, extra=extra)
        shipping = asyncio.create_task(self.shipper.run(closed), name="shipper")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({shipping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._listener.aclose()
            closed.set()
        return await shipping

    def unready(self) -> str:
        """Why nothing would be taken now; empty where it would."""
        seen = self.shipper.seen()
        if seen is None:
            return "the operator has not said yet what is to be shipped, or nothing is"
        return "" if seen.healthy else seen.last_error or "it does not answer"
