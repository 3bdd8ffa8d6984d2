"""HTTP with a store: one request, and an answer or the reason why there is none.

Redirects are not followed, proxies of the environment not used, and answers read up to a limit: the address may be a
tenant's, and so may be what answers there.
"""

from __future__ import annotations

import io
import ipaddress
import json
import os
import re
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from audit_operator.sinks.network import Network

_MOST_BYTES = 64 * 2**20
_CHUNK = 2**16
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_LONGEST_LINE = 16 * 2**20
"""Of an answer line by line: an event, with every character of it escaped."""
_BEGIN = "-----BEGIN CERTIFICATE-----"
_CERTIFICATE = re.compile(rf"{_BEGIN}[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII)

_MENDS = {
    Reason.ADDRESS_INVALID: "correct the address in the sink",
    Reason.UNREACHABLE: "check the host and port in the sink, that the store runs, and that the network policies let "
    "the operator reach it",
    Reason.TIMED_OUT: "check that the store runs and is not overloaded, and that nothing in between drops packets",
    Reason.CUT_OFF: "check the store's log; something ended the connection before the answer was complete",
    Reason.TLS_FAILED: "check that the certificate of the store is of the authority in tls.caSecretRef, carries the "
    "name that the sink uses (or tls.serverName), and has not expired; and that the store speaks TLS on this port",
    Reason.TLS_FILES_INVALID: "put certificates and key into the Secrets as PEM, and a key that fits its certificate",
    Reason.CREDENTIALS_INVALID: "correct the Secret that the sink's credentials name",
    Reason.UNAUTHENTICATED: "check what the Secret of the sink's credentials holds; the store does not accept it",
    Reason.FORBIDDEN: "let this user write and query logs, of this tenant, in the store's settings",
    Reason.NOT_FOUND: "check the path in the sink's address, and that it belongs to a store of the sink's type",
    Reason.REDIRECTED: "put the address that the store redirects to into the sink; redirects are not followed",
    Reason.TOO_LARGE: "raise the store's limit for the size of a request",
    Reason.TOO_MANY_REQUESTS: "raise the store's rate limit for this tenant; the shipper waits and tries again",
    Reason.REFUSED: "check that the address belongs to a store of the sink's type, and see the store's log",
    Reason.STORE_FAILED: "see the store's log",
    Reason.ANSWER_MALFORMED: "check that the address belongs to a store of the sink's type, not to something else",
    Reason.ANSWER_TOO_LARGE: "see in the store why there is so much under one audit ID",
    Reason.ANSWER_INCOMPLETE: "try again; if it stays so, see the store's log for queries that it cut short",
    Reason.ARCHIVE_UNUSABLE: "name a folder that can be read and written to, with --seals",
    Reason.CHAIN_UNUSABLE: "see what audit-operator verify says about the seals that are there",
    Reason.SECRET_UNREADABLE: "see that the Secret exists, and that the operator may read it",
    Reason.QUESTION_INVALID: "ask for some characters; an empty value would match every record that has none",
}

_STATUS: dict[int, Reason] = {
    HTTPStatus.UNAUTHORIZED: Reason.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: Reason.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Reason.TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.TOO_MANY_REQUESTS,
}


def failure(reason: Reason, message: str) -> Failure:
    """A failure with what mends failures of its kind."""
    return Failure(reason, message, _MENDS[reason])


_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_ENDLESS = failure(Reason.CUT_OFF, "the answer did not say where it ends, so that nobody can tell whether it is whole")


@dataclass(frozen=True, slots=True)
class Access:
    """What the Secrets of a sink hold. Never shown: not in a text form, not in a message.

    Attributes:
        authorization: value of the Authorization header, as `shipping.exporters.authorization` makes it.
        ca: certificate authorities in PEM; empty: the system's.
        certificate: client certificate in PEM.
        key: its key in PEM.
        access_key_id: name of the access key, for S3.
        secret_access_key: the access key itself.
    """

    authorization: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered, and its status where that was among those asked for; success otherwise."""

    status: int
    body: bytes = field(repr=False)

    def json(self, *, strict: bool = False) -> Any:
        """The body as one JSON value, or a Failure; where it is `strict`, also if an object has a key twice."""
        try:
            return json.loads(self.body, object_pairs_hook=each_once if strict else None)
        except (ValueError, RecursionError):
            return failure(Reason.ANSWER_MALFORMED, "the store's answer is not JSON")


def each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of two values of one key, nobody could say which is the one that was asked for.

    Raises:
        ValueError: a key is there twice.
    """
    pairs = list(pairs)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice")
    return result


@dataclass(frozen=True, slots=True)
class _Request:
    """One request; the statuses in `also` are no failures, and its answer has `at_most` bytes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    data: bytes | dict[str, str] | None = field(default=None, repr=False)
    also: frozenset[int] = frozenset()
    at_most: int = 0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; `request` bounds all of one request, `search` one whose answer is read line by line."""

    connect: float = 5.0
    request: float = 15.0
    search: float = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """How to talk to one store; made by `connect`."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    network: Network | None = None

    async def get(self, path: str, headers: Mapping[str, str] = _NO_HEADERS, *, at_most: int = 0) -> Answer | Failure:
        """Ask for a path below the base address, whose answer has `at_most` bytes; 0 is the limit for all answers."""
        return await self._call(_Request("GET", self.base + path, headers, at_most=at_most))

    async def delete(self, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer | Failure:
        """Remove what is below the base address, and what the body names."""
        return await self._call(_Request("DELETE", self.base + path, headers, body or None))

    async def ask(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str], *, at_most: int = 0
    ) -> Answer | Failure:
        """Ask a question in a form, which is not limited in length as an address is; `at_most` as in `get`."""
        return await self._call(_Request("POST", self.base + path, headers, dict(form), at_most=at_most))

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, also: frozenset[int] = frozenset(), at_most: int = 0
    ) -> Answer | Failure:
        """Write; the statuses in `also` are answers as well, `at_most` is as in `get`."""
        return await self._call(_Request("POST", url, headers, body, also, at_most))

    async def lines(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncGenerator[bytes | Failure, None]:
        """Ask a question in a form, and give the answer line by line as it comes; a Failure is the last of it.

        Holds no more than one line, of `_LONGEST_LINE` bytes, and what comes with it.
        """
        try:
            async with self._send(_Request("POST", self.base + path, headers, dict(form)), self.timeouts.search) as got:
                if not HTTPStatus.OK <= got.status < HTTPStatus.MULTIPLE_CHOICES:
                    yield refusal(got.status)
                    return
                rest = bytearray()
                async for chunk in got.content.iter_chunked(_CHUNK):
                    rest += chunk
                    if b"\n" in chunk:
                        *whole, last = rest.split(b"\n")
                        rest = last
                        for line in whole:
                            yield bytes(line)
                    if len(rest) > _LONGEST_LINE:
                        yield failure(Reason.ANSWER_TOO_LARGE, "a line of the store's answer is too long")
                        return
                if rest:
                    yield failure(Reason.CUT_OFF, "the store's answer ends within a line")
                elif not _has_end(got):
                    yield _ENDLESS
        except (aiohttp.ClientError, OSError, ValueError) as error:
            yield _explained(error, self.timeouts.search)

    async def put(
        self, path: str, body: bytes, headers: Mapping[str, str], *, also: frozenset[int] = frozenset()
    ) -> Answer | Failure:
        """Make what is below the base address; the statuses in `also` are answers as well."""
        return await self._call(_Request("PUT", self.base + path, headers, body, also))

    async def _call(self, request: _Request) -> Answer | Failure:
        try:
            return await self._attempt(request)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # the first two include TLS errors and timeouts
            return _explained(error, self.timeouts.request)

    async def _attempt(self, request: _Request) -> Answer | Failure:
        async with self._send(request, self.timeouts.request) as response:
            if not (HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES or response.status in request.also):
                return refusal(response.status)
            body, at_most = bytearray(), request.at_most or _MOST_BYTES
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > at_most:
                    return failure(Reason.ANSWER_TOO_LARGE, f"the store's answer is larger than {at_most} bytes")
            return Answer(response.status, bytes(body)) if _has_end(response) else _ENDLESS

    @asynccontextmanager
    async def _send(self, request: _Request, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self.timeouts.connect)
        async with (
            # One session for one request: a store is asked a few times a minute, and nothing is left open.
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self.network.resolver()) if self.network else None,
                timeout=timeout,
                trust_env=False,
                auto_decompress=False,  # nothing else was asked for, and a few bytes can become many
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.request(
                request.method,
                request.url,
                headers={"Accept-Encoding": "identity", **request.headers, **self.headers},
                data=io.BytesIO(request.data) if isinstance(request.data, bytes) else request.data,
                allow_redirects=False,
                ssl=self.context if self.context is not None else True,
                server_hostname=self.server_name,
            ) as response,
        ):
            yield response


def connect(
    base: str, access: Access, *, server_name: str | None = None, network: Network | None = None
) -> Connection | Failure:
    """A connection that has not been tried yet. Reads the system's certificates, some tens of milliseconds."""
    try:
        host = _host(base)
    except ValueError:
        return failure(Reason.ADDRESS_INVALID, "the store's address is none that can be connected to")
    if network is not None and not network.admits(host):
        return failure(Reason.ADDRESS_INVALID, "the store's address is one that only this machine could reach")
    if not access.authorization.isascii() or not access.authorization.isprintable():
        return failure(Reason.CREDENTIALS_INVALID, "the credentials hold characters that no header can carry")
    headers = {"Authorization": access.authorization} if access.authorization else {}
    if not base.startswith("https:"):
        return Connection(base.rstrip("/"), headers, network=network)
    try:
        context = ssl.create_default_context(cadata=_authorities(access.ca) or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if access.certificate or access.key:
            _load_client_certificate(context, access)
    except (ssl.SSLError, OSError, ValueError):
        # Not the error itself: it may quote what it could not read.
        return failure(Reason.TLS_FILES_INVALID, "the certificate authority, certificate or key cannot be used")
    return Connection(base.rstrip("/"), headers, context, server_name, network=network)


def _has_end(response: aiohttp.ClientResponse) -> bool:
    """Whether the answer said where it ends; otherwise one that is cut off looks as one that is whole.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.3; what runs on net/http of Go or on Netty says it to HTTP/1.1.
    """
    return (
        response.status in _WITHOUT_BODY
        or "Content-Length" in response.headers
        or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    )


def _host(base: str) -> str:
    """The host of an address, without brackets. Raises ValueError where it is in brackets and no IPv6 address."""
    host = urlsplit(base).hostname or ""
    if ":" in host:
        ipaddress.IPv6Address(host)
    return host


def _authorities(text: str) -> str:
    """The certificates of a bundle, without what stands between them: public bundles have comments in any script there.

    Python takes ASCII alone; the collector skips the same. Raises ValueError where something is no certificate.
    """
    found = _CERTIFICATE.findall(text)
    if len(found) != text.count(_BEGIN) or (text and not found):
        raise ValueError("not certificates in PEM")
    return "\n".join(found)


def _load_client_certificate(context: ssl.SSLContext, access: Access) -> None:
    """Python takes them from a file alone; this one can be read by nobody else, and is gone at once."""
    handle, path = tempfile.mkstemp(prefix="audit-operator-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{access.key}\n{access.certificate}\n")
        # Without the callable, an encrypted key would ask for its password at the terminal.
        context.load_cert_chain(path, password=lambda: b"")
    finally:
        os.unlink(path)  # noqa: PTH108  # beside mkstemp, which speaks of paths as text


def _explained(error: Exception, seconds: float) -> Failure:
    match error:
        case TimeoutError():
            reason, message = Reason.TIMED_OUT, f"the store did not answer within {seconds:g} s"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            reason, message = Reason.TLS_FAILED, f"TLS with the store failed: {_tls_problem(error)}"
        case aiohttp.ClientConnectorDNSError():
            reason, message = Reason.UNREACHABLE, "the store's host name is not known"
        case aiohttp.ClientConnectorError():
            reason, message = Reason.UNREACHABLE, "no connection to the store: refused, or no way to its network"
        case aiohttp.ClientResponseError():
            reason, message = Reason.ANSWER_MALFORMED, "what answered does not speak HTTP"
        case ValueError():
            reason, message = Reason.ADDRESS_INVALID, "the store's address is none that can be connected to"
        case _:
            reason, message = Reason.CUT_OFF, "the connection ended before the store's answer was complete"
    return failure(reason, message)


def _tls_problem(error: Exception) -> str:
    """The verifier's fixed words, such as ``certificate has expired``; they quote host names, never keys."""
    cause = getattr(error, "certificate_error", error)
    if isinstance(cause, aiohttp.ClientConnectorError):
        cause = cause.os_error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "no agreement")


def refusal(status: int) -> Failure:
    """Why there is no answer where a store has one of this status."""
    reason = _STATUS.get(status)
    if reason is None and status < HTTPStatus.BAD_REQUEST:
        reason = Reason.REDIRECTED
    if reason is None:
        reason = Reason.STORE_FAILED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Reason.REFUSED
    return failure(reason, f"the store answered with HTTP status {status}")
