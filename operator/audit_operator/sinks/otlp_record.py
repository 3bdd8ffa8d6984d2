"""One record as an OTLP request, as the shipper sends it: a probe that went another way would prove another way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.shipping import otlp
from audit_operator.shipping.exporters import AUDIT_ID, STAGE
from audit_operator.shipping.otlp import CONTENT_TYPE, EMPTY

if TYPE_CHECKING:
    from audit_operator.sinks.store import Record

__all__ = ("CONTENT_TYPE", "EMPTY", "encode")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(record: Record) -> bytes:
    """As the shipper writes it: no resource, the event as text in the body, attributes to find it by."""
    attributes = {**record.attributes, AUDIT_ID: record.audit_id, STAGE: record.stage}
    nanoseconds = (record.time - _EPOCH) // timedelta(microseconds=1) * 1000
    text = record.text.encode("utf-8", "replace")
    return otlp.request([otlp.record(text, attributes, time=nanoseconds)])
