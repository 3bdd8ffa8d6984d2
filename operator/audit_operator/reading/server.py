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
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from audit_operator.reading.answer import END, ERROR, Piece, answer, broken
from audit_operator.reading.load import Load
from audit_operator.reading.question import BadQuestion, Format, parameters, read
from audit_operator.reading.refusal import Refused, Why, forbidden
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

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
_TYPES = {Format.NDJSON: "application/x-ndjson", Format.JSON: "application/json"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer, in seconds and bytes."""

    seconds: float = 60.0
    bytes: int = 256 * 2**20


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

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        _expect_plain(request)
        caller = await self._caller(_token(request))
        with self.load.of(caller.name):
            question = _question(request.raw_path)
            scopes = await self.permissions.scopes(caller, question.namespaces)
            if scopes is None:
                _LOG.warning("A caller was refused records", extra=_told(caller, question, "Forbidden"))
                raise forbidden()
            store = await self.store()
            if isinstance(store, Failure):
                _LOG.error("The store cannot be opened: %s", store.message, extra={"reason": store.reason.value})
                raise Refused(Why.UNAVAILABLE, "the reader's store cannot be asked just now")
            sending = _Sending(request, question.format, self.limits.bytes)
            try:
                return await self._send(sending, store, question.selection(scopes, self.clusters))
            finally:
                self.figures.records += sending.records
                self.figures.broken += not sending.whole
                extra = _told(caller, question, "Read" if sending.whole else "ReadInPart", sending.records)
                _LOG.info("A caller has read records", extra=extra)

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
            response = await sending.end(broken("TimedOut", f"it took more than {self.limits.seconds:g} s"))
        except ConnectionError:
            response = sending.response
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

    def __init__(self, request: web.Request, form: Format, most: int) -> None:
        self.response = web.StreamResponse(headers={**_HEADERS, "Content-Type": _TYPES[form]})
        self.response.force_close()
        self.records, self.whole = 0, False
        self._request, self._json, self._left = request, form is Format.JSON, most
        self._waiting = bytearray()

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send all pieces.

        Raises:
            Refused: there is nothing to send, since the first piece says why.
            ConnectionError: the caller has gone.
        """
        async for piece in pieces:
            if ERROR in piece:
                if not self.response.prepared and not self._waiting:
                    raise Refused(Why.STORE_FAILED, f"{piece[ERROR]['reason']}: {piece[ERROR]['message']}")
                return await self.end(piece)
            if END in piece:
                self.whole = True
                return await self.end(piece)
            text = json.dumps(piece).encode()
            self._left -= len(text)
            if self._left < 0:
                return await self.end(broken("AnswerTooLarge", "ask for less time, or for fewer records"))
            await self._add(text)
        return await self.end(broken("CutOff", "the store's answer has no end"))

    async def end(self, piece: Piece) -> web.StreamResponse:
        """Send the last piece. Raises ConnectionError."""
        text = json.dumps(piece).encode()
        if self._json:
            text = (b"" if self.records else b'{"records":[') + b"]," + text[1:]
        self._waiting += text + b"\n"
        await self._flush()
        await self.response.write_eof()
        return self.response

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
        content, self._waiting = bytes(self._waiting), bytearray()
        await self.response.write(content)


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
