"""The TLS port, whose certificates may be replaced on disk at any time.

OpenSSL can replace a certificate in place, but never forgets a client authority that it has read. So each renewal gets
a server of its own on the same socket, and no client sees the port closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web
from cryptography import x509

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler

_LOG = logging.getLogger(__name__)
_LOOK_EVERY = 5.0
_HANDSHAKE = 10.0
_IDLE = 120.0
"""Seconds. Go's client keeps an idle connection for 90: it must not be closed while a request is sent."""
_BACKLOG = 256
_MOST = 512
"""Connections. Each takes a quarter of a MiB, whether somebody says something on it or not (measured)."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """In PEM.

    Attributes:
        certificate: of the server, with what is between it and its authority.
        key: of the server.
        client_ca: authorities of clients; None asks clients for no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None

    def digest(self) -> str:
        """Of their contents.

        Raises:
            OSError: one of them cannot be read.
        """
        files = filter(None, (self.certificate, self.key, self.client_ca))
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()

    def expires(self) -> datetime | None:
        """When the certificate of the server does; None for one that TLS takes and this parser does not.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes()).not_valid_after_utc
        except ValueError:
            return None

    def context(self) -> ssl.SSLContext:
        """What they say.

        Raises:
            OSError: they cannot be read, or used (`ssl.SSLError` is one).
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.client_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True)
class _Port:
    """What stays the same when certificates change."""

    socket: socket.socket
    runner: web.AppRunner


@dataclass(slots=True)
class _Connections:
    """What is known of those that are open.

    Attributes:
        since: when each was seen first.
        asked: those on which there was a request.
        busy: those on which there is one.
        ended: those that were ended here, and may take a moment for it.
    """

    since: dict[web.RequestHandler, float] = field(default_factory=dict)
    asked: set[web.RequestHandler] = field(default_factory=set)
    busy: set[web.RequestHandler] = field(default_factory=set)
    ended: set[web.RequestHandler] = field(default_factory=set)

    def look(self, connections: list[web.RequestHandler]) -> None:
        """Forget those that are not among these."""
        now = time.monotonic()
        self.since = {each: self.since.get(each, now) for each in connections}
        for known in (self.asked, self.busy, self.ended):
            known.intersection_update(self.since)

    def most_dispensable(self, connections: list[web.RequestHandler]) -> web.RequestHandler | None:
        """Of these, which are in the order in which they came: a silent one, or else one that waits for a request."""
        silent = (each for each in connections if each not in self.asked)
        idle = (each for each in connections if each not in self.busy)
        return next(silent, None) or next(idle, None)

    def end(self, connection: web.RequestHandler) -> None:
        """Nothing is lost where nobody has asked anything; others get to know of it."""
        self.ended.add(connection)
        if connection not in self.asked and connection.transport is not None:
            connection.transport.abort()
        else:
            connection.force_close()


@dataclass(slots=True)
class Listener:
    """Serves an application.

    Attributes:
        longest: seconds after which a connection is ended, whatever it does; None: it may last.
        first: seconds in which a connection must have had a request. Go's client may open one that it does not need
            yet, and keeps it for 90 s: where it is one, more than that.
        most: connections; for one more, one of them ends.
        context: the TLS settings in force.
        complaint: why newer files are not in force; empty if they are.
    """

    application: web.Application
    files: TlsFiles
    look_every: float = _LOOK_EVERY
    longest: float | None = None
    first: float = _IDLE
    most: int = _MOST
    context: ssl.SSLContext | None = None
    complaint: str = ""
    _digest: str = ""
    _port: _Port | None = None
    _server: asyncio.Server | None = None
    _renewing: asyncio.Task[None] | None = None
    _expires: datetime | None = None
    _connections: _Connections = field(default_factory=_Connections)

    async def start(self, host: str, port: int) -> int:
        """Begin to serve; returns the port.

        Raises:
            OSError: the files or the port cannot be used.
        """
        self.application.middlewares.insert(0, self._watched)
        runner = web.AppRunner(
            self.application, access_log=None, auto_decompress=False, keepalive_timeout=_IDLE, handle_signals=False
        )
        await runner.setup()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._port = _Port(socket.create_server((host, port), family=family, backlog=_BACKLOG), runner)
        while self.context is None:
            await self._renew(self._port)
        self._renewing = asyncio.create_task(self._keep_renewing(self._port), name="certificates")
        return int(self._port.socket.getsockname()[1])

    async def aclose(self) -> None:
        """Stop serving, once what was begun is answered."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        if self._server is not None:
            self._server.close()
        if self._port is not None:
            self._port.socket.close()
            await self._port.runner.cleanup()

    def unready(self) -> str:
        """Why no client would take what is served; empty where one would."""
        if self.context is None:
            return "no certificate is in force yet"
        expired = self._expires is not None and self._expires <= datetime.now(UTC)
        return "the certificate has expired" if expired else ""

    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        self._connections.asked.add(connection)
        self._connections.busy.add(connection)
        try:
            return await handler(request)
        finally:
            self._connections.busy.discard(connection)

    async def _keep_renewing(self, port: _Port) -> None:
        while True:
            await asyncio.sleep(self.look_every)
            self._end_old(port)
            try:
                await self._renew(port)
            except OSError as error:
                complaint = f"the certificates on disk cannot be used: {type(error).__name__}"
                if complaint != self.complaint:
                    _LOG.error("%s; the last ones stay in force", complaint, extra={"reason": "CertificateRefused"})
                self.complaint = complaint

    def _end_old(self, port: _Port) -> None:
        now, server, known = time.monotonic(), port.runner.server, self._connections
        if server is None:
            return
        known.look(server.connections)
        for connection, since in known.since.items():
            too_old = self.longest is not None and now - since >= self.longest
            if too_old or (now - since >= self.first and connection not in known.asked):
                known.end(connection)
        self._make_room(server, 0)

    def _make_room(self, server: web.Server, coming: int) -> None:
        """For so many more; how many come at once is bounded by the time that a handshake may take."""
        known = self._connections
        connections = [each for each in server.connections if each not in known.ended]
        while len(connections) + coming > self.most:
            one = known.most_dispensable(connections)
            if one is None:
                break
            known.end(one)
            connections.remove(one)

    async def _renew(self, port: _Port) -> None:
        digest = self.files.digest()
        if digest != self._digest:
            context = self.files.context()
            if digest != self.files.digest():
                return  # they are being replaced; the next look sees them as a whole
            expires = self.files.expires()
            before, self._server = self._server, await self._serve(port, context)
            self.context, self._digest, self._expires = context, digest, expires
            if before is not None:
                before.close()
            _LOG.info("Certificates are in force", extra={"reason": "CertificateLoaded", "digest": digest})
        self.complaint = ""

    async def _serve(self, port: _Port, context: ssl.SSLContext) -> asyncio.Server:
        server = port.runner.server
        if server is None:
            raise RuntimeError("the runner was not set up")

        def accepted() -> web.RequestHandler:
            self._make_room(server, 1)
            return server()

        return await asyncio.get_running_loop().create_server(
            accepted, sock=port.socket.dup(), ssl=context, ssl_handshake_timeout=_HANDSHAKE, backlog=_BACKLOG
        )
