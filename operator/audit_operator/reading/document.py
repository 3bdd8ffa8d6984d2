"""A record as it is shown: the same from the proxy and from `audit-operator query`."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from audit_operator.sinks.sameness import shipped

if TYPE_CHECKING:
    from datetime import datetime

    from audit_operator.sinks.store import Record


def moment(time: datetime) -> str:
    """A time as it is shown."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def document(record: Record) -> dict[str, Any]:
    """What shippers wrote, and nothing that a store has added.

    `text` is the event, or the line of an application, as it is stored: character for character, and not always JSON.
    """
    return {
        "time": moment(record.time),
        "auditID": record.audit_id,
        "stage": record.stage,
        "attributes": shipped(record),
        "text": record.text,
    }
