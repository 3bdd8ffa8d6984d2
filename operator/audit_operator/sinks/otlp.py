"""OTLP: anything that takes OpenTelemetry logs. It can be written to, and cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.sinks.store import Accepted, Failure, Reachable, Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from audit_operator.sinks.otlp_endpoint import OtlpEndpoint
    from audit_operator.sinks.selection import Selection

_MUTE = Unsupported("OTLP has no way to ask for what was written; use a sink of type VictoriaLogs or Loki to prove it")


@dataclass(frozen=True, slots=True)
class OtlpStore:
    """A receiver of OTLP over HTTP; implements `store.Store`."""

    endpoint: OtlpEndpoint

    async def check(self) -> Reachable | Failure:
        """See `store.Store`."""
        return await self.endpoint.check()

    async def write(self, record: Record) -> Accepted | Failure:
        """See `store.Store`."""
        return await self.endpoint.write(record)

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Unsupported:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        return _MUTE

    async def search(self, selection: Selection) -> AsyncGenerator[Unsupported, None]:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        yield _MUTE

    async def health(self) -> Unsupported:
        """See `store.Store`."""
        return _MUTE
