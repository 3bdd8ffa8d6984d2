"""Sends live probes: as a ServiceAccount of their own, as nobody, and with a token that is none.

Never with the operator's own credentials, which might do something. The ServiceAccount has no rights, or where bodies
are proved that to change what there is not.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.coverage.catalogue import Sender
from audit_operator.permissions.rbac import NOTHING
from audit_operator.proof.requests import USER_AGENT

if TYPE_CHECKING:
    from audit_operator.cluster.rest import RestClient
    from audit_operator.proof.requests import ProbeRequest

_NO_TOKEN = "audit-operator-probe"  # noqa: S105  # this is the point: it is none
_NOBODY_WE_KNOW = "audit-operator-probe"
_LIFETIME = 3600
_RENEWED = 0.8
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_EXPECTED = {
    Sender.PROBER: HTTPStatus.FORBIDDEN,
    Sender.IMPERSONATING: HTTPStatus.FORBIDDEN,
    Sender.ANONYMOUS: HTTPStatus.FORBIDDEN,
    Sender.BAD_TOKEN: HTTPStatus.UNAUTHORIZED,
}


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing can be expected of a probe; the message says why.

    Attributes:
        again: it has not left, since the API server was not reached, or was turned away there: it can be sent once
            more as it is.
    """

    message: str
    again: bool = False


@dataclass(slots=True)
class ProbeSender:
    """Sends requests to one API server.

    Attributes:
        client: asks for the prober's tokens, with the operator's rights.
        session: has the API server's address and no credentials of any sort.
        namespace: of the ServiceAccount of this `name`.
    """

    client: RestClient
    session: aiohttp.ClientSession
    namespace: str
    name: str
    timeout: float = 10.0
    _token: str = ""
    _renew_at: float = float("-inf")
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, request: ProbeRequest) -> Unsent | None:
        """Send one, and wait for the answer; None if it was answered such that its records are as predicted."""
        try:
            headers = await self._headers(request)
        except (ApiError, ApiUnreachableError) as error:
            why = f"there is no token for ServiceAccount {self.namespace}/{self.name}: {error}"
            return Unsent(why, again=isinstance(error, ApiUnreachableError))
        try:
            async with self.session.request(
                request.method,
                URL(request.uri, encoded=True),
                headers=headers,
                data=request.body or None,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                allow_redirects=False,
            ) as response:
                status = response.status
                content = await response.read() if request.aim.with_body else b""
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"the API server did not answer: {type(error).__name__}"
            return Unsent(why, again=isinstance(error, aiohttp.ClientConnectorError))
        refused = self._judged(request.aim.sender, status)
        return _judged_with_body(request, status, content) if refused is None and request.aim.with_body else refused

    def _judged(self, sender: Sender, status: int) -> Unsent | None:
        """Whoever is not authenticated is recorded as somebody else; most other answers come after the policy.

        An API server that ends or has too much to do may turn requests away before anything is recorded, or after.
        Source: `DefaultBuildHandlerChain` of kubernetes/apiserver.
        """
        if status == _EXPECTED[sender]:
            return None
        if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            why = f"it was answered with {status}, which may be said before anything is recorded"
            return Unsent(why, again=status in _LATER)
        if sender is Sender.ANONYMOUS and status == HTTPStatus.UNAUTHORIZED:
            return Unsent("the API server takes no anonymous requests")
        if status == HTTPStatus.UNAUTHORIZED:
            self._renew_at = float("-inf")
            return Unsent("the API server does not accept the prober's token")
        if sender is Sender.BAD_TOKEN:
            return Unsent(f"a token that is none was answered with {status}: the API server authenticates otherwise")
        return None

    async def _headers(self, request: ProbeRequest) -> dict[str, str]:
        headers = {"Audit-ID": request.marks.audit_id, "User-Agent": USER_AGENT, "Accept": "application/json"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        match request.aim.sender:
            case Sender.ANONYMOUS:
                return headers
            case Sender.BAD_TOKEN:
                return {**headers, "Authorization": f"Bearer {_NO_TOKEN}"}
            case Sender.IMPERSONATING:
                headers["Impersonate-User"] = _NOBODY_WE_KNOW
        return {**headers, "Authorization": f"Bearer {await self._fresh_token()}"}

    async def _fresh_token(self) -> str:
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if now >= self._renew_at:
                self._token = await self.client.token(self.namespace, self.name, seconds=_LIFETIME)
                self._renew_at = now + _RENEWED * _LIFETIME
            return self._token


def _judged_with_body(request: ProbeRequest, status: int, content: bytes) -> Unsent | None:
    """Only where an object was looked for and not found has the body been read and recorded, and nothing else done."""
    match status:
        case HTTPStatus.NOT_FOUND:
            if _said(content, "details", "name") == NOTHING:
                return None
            return Unsent(f"the API server does not serve {request.path.rpartition('/namespaces/')[0] or request.path}")
        case HTTPStatus.FORBIDDEN if f"cannot {request.aim.operation.verb} resource" in _said(content, "message"):
            said = "the prober has no right to it, which the chart gives it with probes.bodies.enabled"
            return Unsent(f"{said}; or leave out spec.probes.bodies")
        case HTTPStatus.OK | HTTPStatus.FORBIDDEN:
            # Admission, and whoever may grant what, are asked only about an object that is there.
            return Unsent(f"there is one called {NOTHING}, which nobody needs: this was a dry run; delete it")
    return Unsent(f"it was answered with {int(status)} instead of 404, so nothing can be expected of its record")


def _said(content: bytes, *path: str) -> str:
    """A field of a Status, empty where there is none; it names no object where the API server serves no resource."""
    try:
        found = json.loads(content)
        for each in path:
            found = found[each]
    except (ValueError, TypeError, KeyError):
        return ""
    return str(found)
