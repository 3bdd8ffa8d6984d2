"""The composition root of a node's shipper: everything is made and joined here, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient, Timeouts
from audit_operator.controller import logs
from audit_operator.controller.health import HealthServer
from audit_operator.controller.lifetime import alone, stop_on_signals
from audit_operator.controller.shipper_board import ClusterShipperBoard
from audit_operator.controller.shipping_metrics import ShippingMetrics
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.counts import text_of
from audit_operator.controlplane.shipper.keeper import ShipperTimes
from audit_operator.controlplane.shipper.kept import KeptCollector
from audit_operator.controlplane.shipper.node import LearnedBefore, NodeShipper
from audit_operator.plan.shipping_status import ShippingFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.observations import ShipperObservation
    from audit_operator.cluster.connection import Connection
    from audit_operator.settings import Settings

FIELD_MANAGER = "audit-operator-shipper"
DEFAULT_COLLECTOR = Path("/usr/local/bin/otelcol")

_LOG = logging.getLogger(__name__)
_GRACE = 9.0
"""Seconds that a collector has to end in order: below those that a pod has."""


async def run(settings: Settings) -> int:
    """Run the shipper until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConnectionConfigError: there are no usable credentials.
        OSError: the shipper's folder cannot be used.
    """
    logs.configure(settings.log_level)
    settings.shipper_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = stop_on_signals()
    connection = await connect(settings.kubeconfig, settings.context)
    shipper = Shipper(settings, connection)
    health = HealthServer(shipper.registry, {}, {"collector": shipper.unready}, shipper.counts)
    try:
        port = await health.start(settings.listen_host, settings.listen_port)
        extra = {"object": settings.control_plane, "reason": "Started"}
        _LOG.info("Shipper of node %s; health and metrics on port %d", settings.node, port, extra=extra)
        return await shipper.run(stop)
    finally:
        await health.aclose()
        await connection.aclose()


class Shipper:
    """One node's shipper, with the collector that it keeps; or what a replica of a gateway ships with."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        """Starts nothing yet."""
        # Tried once, and briefly: the API server that is away may be this node's own, and the loop comes round again.
        client = RestClient(connection.session(), attempts=1, timeouts=Timeouts(connect=3.0, request=10.0))
        board = ClusterShipperBoard(client, settings.namespace, FIELD_MANAGER)
        folder = settings.shipper_folder
        self._settings = settings
        self._lock = folder / "lock"
        self.collector = Collector(folder)
        times = ShipperTimes(look_every=settings.observe_seconds)
        binary = settings.collector or DEFAULT_COLLECTOR
        self._kept = KeptCollector(self.collector, binary, self._news, node=settings.node, times=times)
        self._node = NodeShipper(
            settings.node,
            settings.control_plane,
            board,
            self._kept,
            LearnedBefore(folder / "instructions"),
            poll=settings.shipper_poll_seconds,
        )
        self.registry = CollectorRegistry()
        self.registry.register(ShippingMetrics(self._facts))

    async def run(self, stop: asyncio.Event) -> int:
        """Work while holding the folder's lock, until `stop` is set; raises what ends the work before: a bug."""
        waiting = "Another shipper works in this folder; waiting"
        return await alone(self._lock, stop, lambda: self._work(stop), waiting=waiting)

    def unready(self) -> str:
        """Why the shipper does not do its part; empty where it does, or has nothing to do."""
        seen = self.seen()
        return "" if seen is None or seen.healthy else seen.last_error or "it does not answer"

    def seen(self) -> ShipperObservation | None:
        """What was seen of its collector last; None where nothing is to be shipped."""
        return self._kept.seen()

    async def counts(self) -> bytes:
        """What its collector has counted for detections, as Prometheus reads it."""
        found = await self._kept.counts()
        return text_of([(self._settings.control_plane, found)] if found else [])

    async def _work(self, stop: asyncio.Event) -> int:
        working, stopping = asyncio.create_task(self._node.run()), asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            task.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await working
        finally:
            # In a pod it would be killed next; so it writes down where it is.
            await self._kept.aclose()
            await asyncio.to_thread(self.collector.stop, _GRACE)
        return 0

    def _news(self) -> None:
        self._node.news()

    def _facts(self) -> Mapping[str, ShippingFacts]:
        seen = self._kept.seen()
        return {self._settings.control_plane: ShippingFacts(shippers=(seen,) if seen else ())}
