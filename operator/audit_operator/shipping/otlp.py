"""OTLP in protobuf (opentelemetry.proto.logs.v1), as far as records of text need it.

By hand, since it is five nested messages: VictoriaLogs takes OTLP as protobuf only, and a JSON string would have to
escape every quote of an event, and be read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "application/x-protobuf"
EMPTY = b""
"""A request without records is valid, and an empty message is no byte."""
ALL_TAKEN = frozenset({EMPTY, b"\x0a\x00"})
"""Answers that name no record that was rejected: without partial_success, or with an empty one."""

_FIXED64, _BYTES = 1, 2
_TIME, _OBSERVED_TIME = 1, 11


def request(records: Iterable[bytes]) -> bytes:
    """An ExportLogsServiceRequest with these records, in one resource and one scope."""
    return message(1, message(2, b"".join(message(2, each) for each in records)))


def record(text: bytes, attributes: Mapping[str, str], *, time: int = 0, observed: int = 0) -> bytes:
    """A LogRecord. `text` is valid UTF-8; times are in nanoseconds since 1970, and 0 is none."""
    return (
        _nanoseconds(_TIME, time)
        + message(5, message(1, text))
        + b"".join(message(6, _key_value(key, value)) for key, value in attributes.items())
        + _nanoseconds(_OBSERVED_TIME, observed)
    )


def message(field: int, content: bytes) -> bytes:
    """A field of bytes: text, or a message."""
    return _tag(field, _BYTES) + _varint(len(content)) + content


def _nanoseconds(field: int, value: int) -> bytes:
    return _tag(field, _FIXED64) + value.to_bytes(8, "little") if value else b""


def _key_value(key: str, value: str) -> bytes:
    return message(1, _utf8(key)) + message(2, message(1, _utf8(value)))


def _utf8(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >> 7:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
