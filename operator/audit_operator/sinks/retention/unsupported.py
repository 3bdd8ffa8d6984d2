"""Stores whose retention nobody but their owner can see to; each question is answered with the reason and the mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.retention.judgement import Mends
from audit_operator.sinks.retention.protocol import NO_FOLDERS
from audit_operator.sinks.store import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from audit_operator.retention.classes import RetentionClass
    from audit_operator.retention.folders import Limit, Place
    from audit_operator.sinks.retention.protocol import Order


@dataclass(frozen=True, slots=True)
class UnsupportedRetention:
    """Implements `protocol.RetentionStore` by saying that it cannot; `reason` ends with what its owner can do."""

    reason: str

    @property
    def mends(self) -> Mends:
        """See `protocol.RetentionStore`."""
        return Mends(self.reason, self.reason, self.reason)

    async def observe(self, classes: Sequence[RetentionClass], now: datetime) -> Unsupported:  # noqa: ARG002  # RetentionStore's
        """See `protocol.RetentionStore`."""
        return Unsupported(self.reason)

    async def enforce(
        self,
        orders: Sequence[Order],  # noqa: ARG002  # RetentionStore's
        now: datetime,  # noqa: ARG002
        folders: Mapping[Place, Limit] = NO_FOLDERS,  # noqa: ARG002
    ) -> Unsupported:
        """See `protocol.RetentionStore`."""
        return Unsupported(self.reason)
