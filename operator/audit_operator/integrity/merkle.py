"""The Merkle tree of RFC 6962, section 2.1, over leaves that have been hashed already.

Leaves are a set: they are sorted, and one that is there twice counts once. Stores have copies of a record where the
shipper had to send it again, and do not keep an order of arrival; neither may change a root.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY = hashlib.sha256(b"").digest()
_LEAF, _NODE = b"\0", b"\1"


def leaf_of(data: bytes) -> bytes:
    """Hash of data as a leaf; nothing that is hashed as a node can be taken for it."""
    return hashlib.sha256(_LEAF + data).digest()


def root_of_set(leaves: Iterable[bytes]) -> bytes:
    """Root over these leaves, whatever their order and however often each is there."""
    return root(sorted(set(leaves)))


def root(nodes: Sequence[bytes]) -> bytes:
    """Root over nodes in the order given: MTH of RFC 6962, whose leaves carry the prefix 0x00 already."""
    if not nodes:
        return EMPTY
    level = list(nodes)
    while len(level) > 1:
        paired = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        # The one without a neighbour goes up as it is: that is the split at the largest power of two.
        level = paired + level[len(paired) * 2 :]
    return level[0]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
