"""The list of what a seal covers, beside it: which record is missing cannot be told from a root.

A hash is cut to eight bytes here. The root, over whole hashes, proves; the list only names, and its digest stands in
the seal.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.integrity.record import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.integrity.record import StoredRecord

PREFIX_BYTES = 8
"""Of a leaf's hash in the list."""
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the list.

    Attributes:
        prefix: first bytes of its leaf's hash.
        nanoseconds: its time.
        identity: names of the record.
    """

    prefix: bytes
    nanoseconds: int
    identity: Identity

    @classmethod
    def of(cls, record: StoredRecord, leaf: bytes) -> Entry:
        """The entry of a record with this leaf."""
        return cls(leaf[:PREFIX_BYTES], record.nanoseconds, record.identity)


def line(entry: Entry) -> bytes:
    """An entry as a line of the list, without its end."""
    of = entry.identity
    values = (entry.prefix.hex(), entry.nanoseconds, of.audit_id, of.stage, of.namespace)
    return json.dumps(values, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True)
class Packed:
    """A list as it is kept, and how many records it names."""

    content: bytes
    records: int


def pack(lines: Iterable[bytes]) -> Packed:
    """A list of such lines, in their order; the same bytes for the same lines."""
    kept, records = io.BytesIO(), 0
    with gzip.GzipFile(fileobj=kept, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as file:
        for each in lines:
            file.write(each + b"\n")
            records += 1
    return Packed(kept.getvalue(), records)


def digest(packed: bytes) -> str:
    """SHA-256 in hex, by which a seal knows its list."""
    return hashlib.sha256(packed).hexdigest()


def unpack(packed: bytes) -> Iterator[Entry]:
    """What `pack` made, one after the other. Only for a list whose digest was compared: others may raise anything."""
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        yield from map(_entry, file)


def _entry(line: bytes) -> Entry:
    prefix, nanoseconds, audit_id, stage, namespace = json.loads(line)
    return Entry(bytes.fromhex(prefix), nanoseconds, Identity(audit_id, stage, namespace))
