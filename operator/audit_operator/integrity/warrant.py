"""That records were erased by right: their hashes, signed by whoever erased, so that verification can tell them.

A seal says what was there, and a deletion by right looks like any other. A warrant holds nothing of the records: of
each, the beginning of the hash that its seal's list has. It is made before they are deleted, and excuses that they are
missing, and nothing else: not another record in their place, and not a seal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from audit_operator.integrity.leaves import PREFIX_BYTES
from audit_operator.integrity.signed import Moment, Name, Signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.integrity.keys import VerifyKey

_Leaf = Annotated[str, Field(pattern=f"^[0-9a-f]{{{2 * PREFIX_BYTES}}}$")]


class Warrant(Signed):
    """Of one erasure in one store.

    Attributes:
        erasure: id of the erasure.
        made_at: when, by the clock of whoever erased.
        sink: the store, as a seal's scope names it.
        leaves: first bytes of the hash of each record, in order.
    """

    prefix: ClassVar[bytes] = b"audit-operator.dev/erasure/v1\0"

    version: Literal[1] = 1
    erasure: Name
    made_at: Moment
    sink: Name
    leaves: tuple[_Leaf, ...]


def of_leaves(erasure: str, made_at: str, sink: str, leaves: Iterable[bytes]) -> Warrant:
    """One that is not signed yet."""
    shown = tuple(sorted({each[:PREFIX_BYTES].hex() for each in leaves}))
    return Warrant(erasure=erasure, made_at=made_at, sink=sink, leaves=shown, key_id="0" * 16)


def decode(encoded: bytes) -> Warrant | None:
    """The warrant with these bytes; None where they are none."""
    try:
        warrant = Warrant.model_validate_json(encoded)
    except (ValidationError, ValueError, RecursionError):
        return None
    return warrant if warrant.encode() == encoded else None


def warranted(warrants: Iterable[Warrant], sink: str, keys: Iterable[VerifyKey]) -> dict[bytes, str]:
    """Which records of a store were erased by right, with the id of the erasure: as far as the keys have signed it."""
    trusted = {each.id: each for each in keys}
    return {
        bytes.fromhex(leaf): each.erasure
        for each in warrants
        if each.sink == sink and each.key_id in trusted and trusted[each.key_id].signed(each)
        for leaf in each.leaves
    }
