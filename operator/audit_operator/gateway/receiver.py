"""What is answered to an API server that posts an EventList.

200 says that the collector has every event of it in its queues, and nothing else does. The audit webhook backend of
kube-apiserver sends again after any other answer: five times, with 10 to 34 s between, and within each time up to
ten times more where 429 or 5xx comes with Retry-After; then it drops the list. So Retry-After always stands there.
Sources: k8s.io/apiserver plugin/pkg/audit/webhook, k8s.io/client-go rest/with_retry.go, v0.37.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from audit_operator.gateway.body import Refused, read
from audit_operator.gateway.event_list import NoEventList, TooManyItems, split
from audit_operator.gateway.handover import NotTaken
from audit_operator.gateway.load import EVENT, Load, Overloaded
from audit_operator.gateway.peers import is_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ssl import SSLContext

    from audit_operator.gateway.handover import Handover
    from audit_operator.gateway.load import Share

PATH = "/audit"

_LOG = logging.getLogger(__name__)
_BESIDE_LOOP = 2**16
"""Bytes from which on a list is split in a thread."""
_THREADS = 2
_RETRY = {HTTPStatus.TOO_MANY_REQUESTS: "1", HTTPStatus.SERVICE_UNAVAILABLE: "3"}
"""Seconds. An API server tries ten times within its 30 s: with 3 it is patient for twice as long as with 1."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request.

    Attributes:
        body: bytes, unpacked.
        read_seconds: until it must be there as a whole.
        answer_seconds: from then until it must be split, and the collector have it; an API server waits for 30 s in
            all.
    """

    body: int = 64 * 2**20
    read_seconds: float = 15.0
    answer_seconds: float = 12.0


@dataclass(slots=True)
class Figures:
    """What was counted since the start: answers by status, and what was in lists that were answered with 200."""

    answers: Counter[int] = field(default_factory=Counter)
    events: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Receiver:
    """Answers requests.

    Attributes:
        handover: to the collector.
        allowed: names of clients, of which a certificate must have one; none allows all.
        current: the TLS settings now in force; a connection that was made under others is closed after its answer.
    """

    handover: Handover
    allowed: Sequence[str] = ()
    current: Callable[[], SSLContext | None] = lambda: None
    limits: Limits = field(default_factory=Limits)
    load: Load = field(default_factory=Load)
    figures: Figures = field(default_factory=Figures)
    # Of its own: what keeps the collector running must not wait behind lists that somebody has sent.
    _threads: Executor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "split"))
    _said: tuple[HTTPStatus, str] = (HTTPStatus.OK, "")

    def application(self) -> web.Application:
        """To be served without aiohttp's own decompression, which knows no limit of ours."""
        application = web.Application()
        application.router.add_post(PATH, self.answer)
        return application

    async def answer(self, request: web.Request) -> web.Response:
        """Take one list."""
        try:
            with self.load.request() as share:
                await self._take(request, share)
            status, reason = HTTPStatus.OK, ""
        except Refused as refused:
            status, reason = refused.status, str(refused)
        except Overloaded as overloaded:
            status, reason = HTTPStatus.TOO_MANY_REQUESTS, str(overloaded)
        except NotTaken as failure:
            status, reason = HTTPStatus.SERVICE_UNAVAILABLE, str(failure)
        self.figures.answers[status] += 1
        if (status, reason) != self._said and status is not HTTPStatus.OK:
            extra = {"reason": status.phrase.replace(" ", ""), "object": request.remote or ""}
            _LOG.warning("A list of events was answered with %d: %s", status, reason, extra=extra)
        self._said = status, reason
        headers = {"Retry-After": _RETRY[status]} if status in _RETRY else {}
        response = web.Response(status=status, text=f"{reason}\n" if reason else "", headers=headers)
        if request.transport is None or request.transport.get_extra_info("sslcontext") is not self.current():
            response.force_close()
        return response

    async def _take(self, request: web.Request, share: Share) -> None:
        if not is_allowed(request.transport, self.allowed):
            raise Refused(HTTPStatus.FORBIDDEN, "the certificate has no name that is allowed here")
        content = await self._read(request, share)
        size = len(content)
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                events = await self._split(content)
                del content
                share.take(len(events) * EVENT)
                await self.handover.deliver(events)
        except TimeoutError as error:
            raise NotTaken("the collector has not taken it in time") from error
        self.figures.events += len(events)
        self.figures.bytes += size

    async def _split(self, content: bytes) -> tuple[bytes, ...]:
        try:
            if len(content) <= _BESIDE_LOOP:
                return split(content)
            return await asyncio.get_running_loop().run_in_executor(self._threads, split, content)
        except TooManyItems as error:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the list is too long: {error}") from error
        except NoEventList as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"no audit.k8s.io/v1 EventList: {error}") from error

    async def _read(self, request: web.Request, share: Share) -> bytes:
        encoding = request.headers.get("Content-Encoding", "")
        if (request.content_length or 0) > self.limits.body:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {self.limits.body} bytes")
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                return await read(request.content.iter_any(), encoding, self.limits.body, share)
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the body does not come in time") from error
        except (RequestPayloadError, ConnectionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body ends in the middle") from error
