"""Stores that this release cannot talk to; each question is answered with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.sinks.store import Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from audit_operator.sinks.selection import Selection
    from audit_operator.sinks.store import Record


@dataclass(frozen=True, slots=True)
class UnsupportedStore:
    """Implements `store.Store` by saying that it cannot."""

    reason: str

    async def check(self) -> Unsupported:
        """See `store.Store`."""
        return Unsupported(self.reason)

    async def write(self, record: Record) -> Unsupported:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        return Unsupported(self.reason)

    async def find(self, audit_id: str, stage: str | None, *, since: datetime) -> Unsupported:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        return Unsupported(self.reason)

    async def search(self, selection: Selection) -> AsyncGenerator[Unsupported, None]:  # noqa: ARG002  # Store's
        """See `store.Store`."""
        yield Unsupported(self.reason)

    async def health(self) -> Unsupported:
        """See `store.Store`."""
        return Unsupported(self.reason)
