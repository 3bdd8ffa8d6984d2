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
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_LOOK_EVERY = 5.0
_HANDSHAKE = 10.0
_IDLE = 120.0
"""Seconds. Go's client keeps an idle connection for 90: it must not be closed while a request is sent."""
_BACKLOG = 256


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
class Listener:
    """Serves an application.

    Attributes:
        longest: seconds after which a connection is ended, whatever it does; None: it may last.
        context: the TLS settings in force.
        complaint: why newer files are not in force; empty if they are.
    """

    application: web.Application
    files: TlsFiles
    look_every: float = _LOOK_EVERY
    longest: float | None = None
    context: ssl.SSLContext | None = None
    complaint: str = ""
    _digest: str = ""
    _port: _Port | None = None
    _server: asyncio.Server | None = None
    _renewing: asyncio.Task[None] | None = None
    _since: dict[web.RequestHandler, float] = field(default_factory=dict)

    async def start(self, host: str, port: int) -> int:
        """Begin to serve; returns the port.

        Raises:
            OSError: the files or the port cannot be used.
        """
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

    async def _keep_renewing(self, port: _Port) -> None:
        while True:
            await asyncio.sleep(self.look_every)
            if self.longest is not None:
                self._end_old(port, self.longest)
            try:
                await self._renew(port)
            except OSError as error:
                complaint = f"the certificates on disk cannot be used: {type(error).__name__}"
                if complaint != self.complaint:
                    _LOG.error("%s; the last ones stay in force", complaint, extra={"reason": "CertificateRefused"})
                self.complaint = complaint

    def _end_old(self, port: _Port, longest: float) -> None:
        now, server = time.monotonic(), port.runner.server
        self._since = {each: self._since.get(each, now) for each in (server.connections if server else ())}
        for connection, since in self._since.items():
            if now - since >= longest:
                connection.force_close()

    async def _renew(self, port: _Port) -> None:
        digest = self.files.digest()
        if digest != self._digest:
            context = self.files.context()
            if digest != self.files.digest():
                return  # they are being replaced; the next look sees them as a whole
            before, self._server = self._server, await _serve(port, context)
            self.context, self._digest = context, digest
            if before is not None:
                before.close()
            _LOG.info("Certificates are in force", extra={"reason": "CertificateLoaded", "digest": digest})
        self.complaint = ""


async def _serve(port: _Port, context: ssl.SSLContext) -> asyncio.Server:
    factory = port.runner.server
    if factory is None:
        raise RuntimeError("the runner was not set up")
    return await asyncio.get_running_loop().create_server(
        factory, sock=port.socket.dup(), ssl=context, ssl_handshake_timeout=_HANDSHAKE, backlog=_BACKLOG
    )
