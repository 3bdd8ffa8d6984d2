"""The composition root of a reader: a proxy before a store, for callers that the API server recognises."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient, Timeouts
from audit_operator.controller import logs
from audit_operator.controller.health import HealthServer
from audit_operator.controller.lifetime import stop_on_signals
from audit_operator.controller.reader_metrics import ReaderMetrics
from audit_operator.controller.sink_in_files import SinkInFiles
from audit_operator.gateway.listener import Listener, TlsFiles
from audit_operator.reading.permission import Permissions
from audit_operator.reading.reviews import Reviews
from audit_operator.reading.server import PATH, Reader
from audit_operator.settings import SettingsError
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from audit_operator.cluster.connection import Connection
    from audit_operator.settings import Settings

_LOG = logging.getLogger(__name__)
_LONGEST_CONNECTION, _FIRST_REQUEST = 90.0, 10.0
_LOOK_EVERY = 5.0
_REVIEW = Timeouts(connect=5.0, request=10.0)


async def run(settings: Settings) -> int:
    """Run the reader until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConnectionConfigError: there are no usable credentials.
        SettingsError: the sink, the certificates or the port cannot be used.
    """
    logs.configure(settings.log_level)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        connection = await connect(settings.kubeconfig, settings.context)
        stack.push_async_callback(connection.aclose)
        server = ReaderServer(settings, connection)
        if isinstance(failed := await server.sink.store(), Failure):
            raise SettingsError(f"AUDIT_OPERATOR_READER_SINK: {failed.message} ({failed.mend})")
        health = HealthServer(server.registry, {}, server.ready)
        stack.push_async_callback(health.aclose)
        await health.start(settings.listen_host, settings.listen_port)
        stack.push_async_callback(server.aclose)
        await server.start()
        await stop.wait()
    return 0


class ReaderServer:
    """One replica of a reader."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        """Starts nothing yet."""
        self._settings = settings
        self.sink = SinkInFiles(settings.reader_sink, settings.reader_secrets)
        client = RestClient(connection.session(), timeouts=_REVIEW, attempts=2)
        self.reader = Reader(
            Permissions(Reviews(client, _listed(settings.reader_audiences))),
            self.sink.store,
            _listed(settings.reader_clusters) or (settings.control_plane,),
        )
        files = TlsFiles(settings.reader_certificate, settings.reader_key, client_ca=None)
        # Whoever has a connection need not have shown a token yet: it ends, and once a request has had its time.
        self._listener = Listener(self.reader.application(), files, longest=_LONGEST_CONNECTION, first=_FIRST_REQUEST)
        self.ready = {"sink": lambda: self.sink.complaint, "certificate": self._listener.unready}
        self._looking: asyncio.Task[None] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(ReaderMetrics(self.reader, self._listener))

    async def start(self) -> int:
        """Begin to answer; returns the port.

        Raises:
            SettingsError: the certificates or the port cannot be used.
        """
        try:
            port = await self._listener.start(self._settings.reader_host, self._settings.reader_port)
        except OSError as error:
            raise SettingsError(f"the reader's certificates or port cannot be used: {error}") from error
        self._looking = asyncio.create_task(self._keep_looking(), name="sink")
        shown = ",".join(self.reader.clusters)
        _LOG.info("Records of %s are read on port %d, at %s", shown, port, PATH, extra={"reason": "Started"})
        return port

    async def aclose(self) -> None:
        """Stop, once what was begun is answered."""
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.shield(self._listener.aclose())

    async def _keep_looking(self) -> None:
        """So that a sink that cannot be opened is known before somebody asks."""
        while True:
            await self.sink.store()
            await asyncio.sleep(_LOOK_EVERY)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name for each in text.split(",") if (name := each.strip()))
