"""OTLP: anything that takes OpenTelemetry logs. It can be written to, and cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.sinks import otlp_record
from audit_operator.sinks.store import Accepted, Failure, Reachable, Record, Unsupported

if TYPE_CHECKING:
    from datetime import datetime

    from audit_operator.sinks.access import Answer, Connection

_MUTE = Unsupported("OTLP has no way to ask for what was written; use a sink of type VictoriaLogs or Loki to prove it")


@dataclass(frozen=True, slots=True)
class OtlpStore:
    """A receiver of OTLP over HTTP; implements `store.Store`."""

    connection: Connection
    logs_url: str

    async def check(self) -> Reachable | Failure:
        """See `store.Store`."""
        answer = await self._post(otlp_record.EMPTY)
        return answer if isinstance(answer, Failure) else Reachable()

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`."""
        answer = await self._post(otlp_record.encode(record))
        return answer if isinstance(answer, Failure) else Accepted()

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Unsupported:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        return _MUTE

    async def health(self) -> Unsupported:
        """See `store.Store`."""
        return _MUTE

    async def _post(self, body: bytes) -> Answer | Failure:
        return await self.connection.post(self.logs_url, body, {"Content-Type": otlp_record.CONTENT_TYPE})
