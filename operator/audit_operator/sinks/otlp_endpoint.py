"""Writing to a store as OTLP over HTTP: the same for every store that takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.sinks import otlp_record
from audit_operator.sinks.store import Accepted, Failure, Reachable, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.sinks.access import Answer, Connection


@dataclass(frozen=True, slots=True)
class OtlpEndpoint:
    """Where one store takes logs.

    Attributes:
        connection: to the store.
        url: that records are posted to.
        headers: of each such request.
    """

    connection: Connection
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def check(self, *, also: frozenset[int] = frozenset()) -> Reachable | Failure:
        """Write nothing; `also` are answers to that which are no failures."""
        answer = await self._post(otlp_record.EMPTY, also)
        return answer if isinstance(answer, Failure) else Reachable()

    async def write(self, record: Record) -> Accepted | Failure:
        """Write one record."""
        answer = await self._post(otlp_record.encode(record))
        return answer if isinstance(answer, Failure) else Accepted()

    async def _post(self, body: bytes, also: frozenset[int] = frozenset()) -> Answer | Failure:
        headers = {**self.headers, "Content-Type": otlp_record.CONTENT_TYPE}
        return await self.connection.post(self.url, body, headers, also=also)
