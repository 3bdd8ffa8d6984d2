"""The bytes of a record that a seal speaks about: all of it as it was stored, and nothing of what the store adds.

Every part is preceded by its length, so that no two different records have the same bytes. The time stands apart from
the rest: a record that was only moved in time can then be told from one that was changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.integrity import merkle

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTENT = b"audit-operator.dev/record/v1\0"
_TIME_BYTES = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """By which names a record is found again. Clients choose audit IDs: two records may have the same names."""

    audit_id: str = ""
    stage: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as a store gives it back.

    Attributes:
        nanoseconds: its time, since 1970 in UTC.
        text: its body.
        attributes: all others of its fields; not those that the store made.
    """

    nanoseconds: int
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """By which it is found again."""
        of = self.attributes
        return Identity(of.get("auditID", ""), of.get("stage", ""), of.get("namespace", ""))

    def content(self) -> bytes:
        """SHA-256 of everything but the time."""
        parts = [_CONTENT, *_measured(self.text)]
        for name in sorted(self.attributes):
            parts += _measured(name)
            parts += _measured(self.attributes[name])
        return hashlib.sha256(b"".join(parts)).digest()

    def leaf(self) -> bytes:
        """SHA-256 of all of it; see `leaf`."""
        return leaf(self.nanoseconds, self.content())


def leaf(nanoseconds: int, content: bytes) -> bytes:
    """Hash of a record as a leaf of the tree, from its time and the hash of the rest."""
    return merkle.leaf_of(nanoseconds.to_bytes(_TIME_BYTES, "big", signed=True) + content)


def _measured(text: str) -> tuple[bytes, bytes]:
    # A store may hold what is no Unicode; that, too, must have bytes of its own.
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(8, "big"), data
