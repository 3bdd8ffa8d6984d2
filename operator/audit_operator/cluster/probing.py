"""Sends live probes: as a ServiceAccount without rights, as nobody, and with a token that is none.

Never with the operator's own credentials: a probe that was allowed would prove nothing, and might do something.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.coverage.catalogue import Sender

if TYPE_CHECKING:
    from audit_operator.cluster.rest import RestClient
    from audit_operator.proof.requests import ProbeRequest

USER_AGENT = "audit-operator-prober"
"""By which detections can leave out probes of nobody; whose name they have is known of the others."""

_NO_TOKEN = "audit-operator-probe"  # noqa: S105  # this is the point: it is none
_NOBODY_WE_KNOW = "audit-operator-probe"
_LIFETIME = 3600
_RENEWED = 0.8
_EXPECTED = {
    Sender.PROBER: HTTPStatus.FORBIDDEN,
    Sender.IMPERSONATING: HTTPStatus.FORBIDDEN,
    Sender.ANONYMOUS: HTTPStatus.FORBIDDEN,
    Sender.BAD_TOKEN: HTTPStatus.UNAUTHORIZED,
}


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing can be expected of a probe; the message says why."""

    message: str


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
            return Unsent(f"there is no token for ServiceAccount {self.namespace}/{self.name}: {error}")
        try:
            async with self.session.request(
                request.method,
                URL(request.uri, encoded=True),
                headers=headers,
                data="{}" if request.content_type else None,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unsent(f"the API server did not answer: {type(error).__name__}")
        return self._judged(request.aim.sender, status)

    def _judged(self, sender: Sender, status: int) -> Unsent | None:
        """Whoever is not authenticated is recorded as somebody else; any other answer comes after the policy."""
        if status == _EXPECTED[sender]:
            return None
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
