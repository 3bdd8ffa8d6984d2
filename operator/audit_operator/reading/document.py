"""A record as it is shown: the same from the proxy and from `audit-operator query`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.shipping.application.attributes import SHIPPED as OF_APPLICATIONS
from audit_operator.shipping.collector.attributes import SHIPPED as OF_EVENTS

if TYPE_CHECKING:
    from audit_operator.sinks.store import Record

_SHOWN = frozenset(OF_EVENTS) | frozenset(OF_APPLICATIONS)


def document(record: Record) -> dict[str, Any]:
    """What shippers wrote, and nothing that a store has added.

    `text` is the event, or the line of an application, as it is stored: character for character, and not always JSON.
    """
    return {
        "time": record.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "auditID": record.audit_id,
        "stage": record.stage,
        "attributes": {name: value for name, value in sorted(record.attributes.items()) if name in _SHOWN},
        "text": record.text,
    }
