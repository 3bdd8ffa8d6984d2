"""What is answered to a caller who asks for records.

One request a connection: what a proxy in between and we might not agree on, such as where a request ends, then has
nothing to be mistaken for the next.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from audit_operator.reading.answer import END, ERROR, Piece, answer, broken
from audit_operator.reading.load import Load, share
from audit_operator.reading.question import BadQuestion, Format, parameters, read
from audit_operator.reading.refusal import Refused, Why, forbidden, internal
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from aiohttp.typedefs import Handler

    from audit_operator.reading.permission import Permissions
    from audit_operator.reading.question import Question
    from audit_operator.reading.reviews import Caller
    from audit_operator.sinks.selection import Selection
    from audit_operator.sinks.store import Store

PATH = "/v1/records"

_LOG = logging.getLogger(__name__)
_BEARER = re.compile(r"bearer ([A-Za-z0-9._~+/-]+=*)", re.ASCII | re.IGNORECASE)
_CHUNK = 2**16
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_REFUSALS = {Reason.QUESTION_INVALID.value: Why.BAD_REQUEST, Reason.TIMED_OUT.value: Why.TIMED_OUT}
"""Of what a store's first word is; all others are failures of the store."""

_TYPES = {Format.NDJSON: "application/x-ndjson", Format.JSON: "application/json"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer, in seconds and bytes; `drain` is for the caller to take `_CHUNK` bytes."""

    seconds: float = 60.0
    bytes: int = 256 * 2**20
    drain: float = 10.0


@dataclass(slots=True)
class Figures:
    """What was counted since the start: answers by status, of them those that were not whole, and records."""

    answers: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    records: int = 0


@dataclass(slots=True)
class Reader:
    """Answers requests.

    Attributes:
        permissions: who callers are, and what they may read.
        store: the store, or why there is none.
        clusters: whose records are shown, by the attribute `cluster`; at least one.
    """

    permissions: Permissions
    store: Callable[[], Awaitable[Store | Failure]]
    clusters: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    load: Load = field(default_factory=Load)
    figures: Figures = field(default_factory=Figures)

    def application(self) -> web.Application:
        """One path, one method."""
        application = web.Application(middlewares=[self._once])
        application.router.add_get(PATH, self.answer, allow_head=False)
        return application

    @web.middleware
    async def _once(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whatever is answered, the connection ends with it."""
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            why = Why.NOT_ALLOWED if refused.status == HTTPStatus.METHOD_NOT_ALLOWED else Why.NOT_FOUND
            response = self._refusal(Refused(why, f"there is GET {PATH}, and nothing else"))
        response.force_close()
        return response

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            with self.load.request():
                return await self._answer(request)
        except Refused as refused:
            return self._refusal(refused)
        except Exception:  # noqa: BLE001  # whatever it is, it is counted, and the caller gets JSON
            _LOG.exception("A request could not be answered", extra={"reason": Why.INTERNAL.value})
            return self._refusal(internal())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        _expect_plain(request)
        caller = await self._caller(_token(request))
        whose = share(caller.name)
        with self.load.of(whose):
            self.load.spend(whose)
            question = _question(request.raw_path)
            selection = await self._selection(caller, question)
            store = await self.store()
            if isinstance(store, Failure):
                _LOG.error("The store cannot be opened: %s", store.message, extra={"reason": store.reason.value})
                raise Refused(Why.UNAVAILABLE, "the reader's store cannot be asked just now")
            _LOG.info("A caller reads records", extra=_told(caller, question, "Reading"))
            sending = _Sending(request, question.format, self.limits, self.load)
            try:
                return await self._send(sending, store, selection)
            finally:
                sending.give_back()
                self.figures.records += sending.records
                self.figures.broken += not sending.whole
                extra = _told(caller, question, sending.outcome, sending.records)
                _LOG.info("A caller has been answered", extra=extra)

    async def _selection(self, caller: Caller, question: Question) -> Selection:
        """What the caller may read of what they ask for; raises Refused."""
        whose = share(caller.name)
        async with self.load.asking(whose):
            scopes = await self.permissions.scopes(caller, question.namespaces, lambda: self.load.spend(whose))
        if scopes is None:
            _LOG.warning("A caller was refused records", extra=_told(caller, question, "Forbidden"))
            raise forbidden()
        return question.selection(scopes, self.clusters)

    async def _caller(self, token: str) -> Caller:
        caller = self.permissions.remembered(token)
        if caller is None:
            with self.load.stranger():
                caller = await self.permissions.who(token)
        if caller is None:
            raise Refused(Why.UNAUTHENTICATED, "the token is none that is good here")
        return caller

    async def _send(self, sending: _Sending, store: Store, selection: Selection) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self.limits.seconds), aclosing(answer(store, selection)) as pieces:
                response = await sending.run(pieces)
        except TimeoutError:
            response = await sending.fail(Refused(Why.TIMED_OUT, f"it took more than {self.limits.seconds:g} s"))
        except ConnectionError:
            response = sending.response
        except Refused:
            raise
        except Exception:  # noqa: BLE001  # the answer must say that it is not whole
            _LOG.exception("An answer could not be made", extra={"reason": Why.INTERNAL.value})
            response = await sending.fail(internal())
        self.figures.answers[response.status] += 1
        return response

    def _refusal(self, refused: Refused) -> web.Response:
        self.figures.answers[refused.status] += 1
        headers = dict(_HEADERS)
        if refused.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if refused.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers["Retry-After"] = "1"
        body = json.dumps(broken(refused.why.value, refused.message))
        return web.Response(status=refused.status, text=body + "\n", content_type=_TYPES[Format.JSON], headers=headers)


class _Sending:
    """An answer on its way to a caller."""

    def __init__(self, request: web.Request, form: Format, limits: Limits, load: Load) -> None:
        self.response = web.StreamResponse(headers={**_HEADERS, "Content-Type": _TYPES[form]})
        self.response.force_close()
        self.records, self.whole = 0, False
        self._request, self._json, self._left = request, form is Format.JSON, limits.bytes
        self._drain, self._load = limits.drain, load
        self._waiting, self._taken = bytearray(), 0

    @property
    def outcome(self) -> str:
        """The reason that is logged."""
        if self.whole:
            return "Read"
        return "ReadInPart" if self.response.prepared else "NotRead"

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send all pieces.

        Raises:
            Refused: there is nothing to send, since the first piece says why.
            ConnectionError: the caller has gone, or takes nothing any more.
        """
        async for piece in pieces:
            if ERROR in piece:
                return await self._break(piece)
            if END in piece:
                response = await self._end(piece)
                self.whole = True
                return response
            text = json.dumps(piece).encode()
            self._left -= len(text)
            if self._left < 0:
                return await self._end(broken("AnswerTooLarge", "ask for less time, or for fewer records"))
            try:
                self._take(len(text))
            except Refused as refused:
                return await self.fail(refused)
            await self._add(text)
        return await self._end(broken("CutOff", "the store's answer has no end"))

    async def fail(self, refused: Refused) -> web.StreamResponse:
        """Say why there is no more; raises Refused where there was nothing before."""
        if self._is_empty():
            raise refused
        try:
            return await self._end(broken(refused.why.value, refused.message))
        except ConnectionError:
            return self.response

    def give_back(self) -> None:
        """What was taken of the load: nothing waits any more."""
        self._load.give_back(self._taken)
        self._taken = 0

    async def _break(self, piece: Piece) -> web.StreamResponse:
        if self._is_empty():
            why = _REFUSALS.get(piece[ERROR]["reason"], Why.STORE_FAILED)
            raise Refused(why, f"{piece[ERROR]['reason']}: {piece[ERROR]['message']}")
        return await self._end(piece)

    async def _end(self, piece: Piece) -> web.StreamResponse:
        text = json.dumps(piece).encode()
        if self._json:
            text = (b"" if self.records else b'{"records":[') + b"]," + text[1:]
        self._waiting += text + b"\n"
        await self._flush()
        async with self._drained():
            await self.response.write_eof()
        return self.response

    def _is_empty(self) -> bool:
        return not self.response.prepared and not self._waiting

    def _take(self, number: int) -> None:
        self._load.take(number)
        self._taken += number

    async def _add(self, text: bytes) -> None:
        if self._json:
            self._waiting += (b"," if self.records else b'{"records":[') + b"\n" + text
        else:
            self._waiting += text + b"\n"
        self.records += 1
        if len(self._waiting) >= _CHUNK:
            await self._flush()

    async def _flush(self) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
            if self._request.transport is not None:
                # Of TLS it is half a MiB otherwise, for each of them.
                self._request.transport.set_write_buffer_limits(_CHUNK)
        while self._waiting:
            content = bytes(self._waiting[:_CHUNK])
            # Before it is written: if the time is over meanwhile, what follows goes on where this ends.
            del self._waiting[:_CHUNK]
            async with self._drained():
                await self.response.write(content)
        self.give_back()

    @asynccontextmanager
    async def _drained(self) -> AsyncIterator[None]:
        """Raises ConnectionError where the caller does not take it in time."""
        try:
            async with asyncio.timeout(self._drain) as time:
                yield
        except TimeoutError as error:
            if not time.expired():
                raise
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionAbortedError from error


def _expect_plain(request: web.Request) -> None:
    """Nothing that somebody could believe to have had an effect here, or that another server could read otherwise."""
    if any(name.lower().startswith("impersonate-") for name in request.headers):
        raise Refused(Why.BAD_REQUEST, "nobody is impersonated here: use a token of the one who reads")
    if request.content_length or "Transfer-Encoding" in request.headers or "Upgrade" in request.headers:
        raise Refused(Why.BAD_REQUEST, "a question has no body and no upgrade")


def _token(request: web.Request) -> str:
    given = request.headers.getall("Authorization", [])
    found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        raise Refused(Why.UNAUTHENTICATED, "one Authorization header with a bearer token is needed")
    return found[1]


def _question(target: str) -> Question:
    try:
        return read(parameters(target), datetime.now(UTC))
    except BadQuestion as error:
        raise Refused(Why.BAD_REQUEST, str(error)) from error


def _told(caller: Caller, question: Question, reason: str, records: int = 0) -> dict[str, object]:
    return {
        "user": caller.name,
        "object": ",".join(question.namespaces) or "cluster-scoped",
        "since": question.since.isoformat(),
        "until": question.until.isoformat(),
        "records": records,
        "reason": reason,
    }
