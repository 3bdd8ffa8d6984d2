"""One record as an OTLP request (opentelemetry.proto.logs.v1.LogsData in protobuf), as the shipper sends it.

By hand, since it is five nested messages: VictoriaLogs takes OTLP as protobuf only, and a probe that went another way
than the shipper's records would prove another way.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import AUDIT_ID, STAGE

if TYPE_CHECKING:
    from audit_operator.sinks.store import Record

CONTENT_TYPE = "application/x-protobuf"
EMPTY = b""
"""A request without records is valid, and an empty message is no byte."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED64, _BYTES = 1, 2


def encode(record: Record) -> bytes:
    """As the shipper writes it: no resource, the event as text in the body, attributes to find it by."""
    attributes = {**record.attributes, AUDIT_ID: record.audit_id, STAGE: record.stage}
    nanoseconds = (record.time - _EPOCH) // timedelta(microseconds=1) * 1000
    log_record = (
        _tag(1, _FIXED64)
        + nanoseconds.to_bytes(8, "little")
        + _message(5, _text(1, record.text))
        + b"".join(_message(6, _key_value(key, value)) for key, value in attributes.items())
    )
    return _message(1, _message(2, _message(2, log_record)))


def _key_value(key: str, value: str) -> bytes:
    return _text(1, key) + _message(2, _text(1, value))


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8", "replace"))


def _message(field: int, content: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(content)) + content


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >> 7:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
