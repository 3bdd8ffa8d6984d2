"""What a key signs: documents whose bytes are the canonical JSON of what they say.

Sorted keys, no spaces, ASCII: other bytes of the same meaning are not the document, so that nothing about one can be
changed, not even what nobody would read. Each kind of document signs a prefix of its own: none passes for another.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(max_length=512)]
Moment = Annotated[str, Field(max_length=32)]

_SIGNATURE = "signature"


class Part(BaseModel):
    """A part of such a document."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Scope(Part):
    """Whose records a chain of seals is about.

    Attributes:
        sink: the store, as ``ClusterAuditSink/central`` or ``AuditSink/payments/own``.
        cluster: value of the attribute of that name; empty: all that the store has.
        namespace: value of the attribute of that name; empty: all namespaces, and records without one.
    """

    sink: Name
    cluster: Name = ""
    namespace: Name = ""

    def __str__(self) -> str:
        of = [f"{name} {value}" for name, value in (("cluster", self.cluster), ("namespace", self.namespace)) if value]
        return ", ".join([self.sink, *of])


class Signed(Part):
    """Such a document.

    Attributes:
        key_id: which key signed.
        signature: Ed25519, in hex.
    """

    prefix: ClassVar[bytes]

    key_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    signature: Annotated[str, Field(pattern="^([0-9a-f]{128})?$")] = ""

    def encode(self) -> bytes:
        """The bytes that are kept."""
        return _canonical(self.model_dump(mode="json", by_alias=True))

    def signed_bytes(self) -> bytes:
        """What the signature is about: everything else."""
        document = self.model_dump(mode="json", by_alias=True)
        del document[_SIGNATURE]
        return self.prefix + _canonical(document)


def digest(encoded: bytes) -> str:
    """SHA-256 of a document's bytes, by which others name it."""
    return hashlib.sha256(encoded).hexdigest()


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")
