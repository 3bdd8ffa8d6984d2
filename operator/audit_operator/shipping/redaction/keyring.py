"""The keys of pseudonyms of one control plane: by epoch, by namespace, and by how often a namespace's was renewed.

An *epoch* has a tree of its own (`key_tree`); with a new one, all namespaces get other keys. Within an epoch, one
namespace can be given another key: its *turn* is counted. Old keys stay, so that the records of a subject can still be
found, until they are destroyed or forgotten. Shippers get the present epoch alone.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping  # pydantic needs it at run time
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from audit_operator.shipping.redaction.key_tree import SECRET_BYTES, KeyTree
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey

if TYPE_CHECKING:
    from datetime import datetime

RANDOM_BYTES = 2 * SECRET_BYTES
"""What a new epoch is made from."""
REGISTER_BYTES = 32
MOST_SECRETS = 4000
"""Of a tree that shippers are given; beyond it, a destroyed key begins a new epoch, whose tree is whole."""

MOST_BYTES = 2**20 - 2**16
"""Of a keyring to which something was done by hand: a Secret holds 1 MiB, and rotation needs room for new epochs."""
_LARGEST = 16 * 2**20
_Turn = Annotated[int, Field(ge=0)]


class KeyringUnusable(Exception):  # noqa: N818  # a state of what was read
    """What was read is no keyring. Holds nothing of it."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True
    )


class Epoch(_Part):
    """A time in which each namespace has one key, unless it was given another.

    Attributes:
        since: when it began.
        tree: gives the keys.
        turns: how often a namespace was given another key, for those that were.
    """

    since: AwareDatetime
    tree: KeyTree
    turns: Mapping[str, _Turn] = Field(default_factory=dict)

    def present(self, namespace: str) -> PseudonymKey | None:
        """The key that pseudonyms of a namespace are made with now; ``""`` is that of records without one."""
        return self._key(namespace, self.turns.get(namespace, 0))

    def kept(self, namespace: str) -> Iterator[PseudonymKey]:
        """Every key of a namespace that is left, the oldest first."""
        for turn in range(self.turns.get(namespace, 0) + 1):
            key = self._key(namespace, turn)
            if key is not None:
                yield key

    def renewed(self, namespaces: Iterable[str]) -> Self:
        """The same with other keys for these from now on."""
        turns = {**self.turns, **{each: self.turns.get(each, 0) + 1 for each in namespaces}}
        return self.model_copy(update={"turns": turns})

    def without(self, namespaces: Iterable[str]) -> Self:
        """The same without any key that these have had, the present one included."""
        tree = self.tree
        for each in namespaces:
            for turn in range(self.turns.get(each, 0) + 1):
                tree = tree.without(_name(each, turn))
        return self.model_copy(update={"tree": tree})

    def encoded(self) -> str:
        """For shippers: only letters, digits, and ``-_=``."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()

    @classmethod
    def decoded(cls, text: str) -> Self:
        """Read what `encoded` made. Raises KeyringUnusable."""
        try:
            return cls.model_validate_json(base64.b64decode(text, altchars=b"-_", validate=True))
        except (ValidationError, ValueError, binascii.Error):
            raise KeyringUnusable from None

    def _key(self, namespace: str, turn: int) -> PseudonymKey | None:
        secret = self.tree.key(_name(namespace, turn))
        return None if secret is None else PseudonymKey.of(secret)


class Keyring(_Part):
    """All keys of a control plane that are left.

    Attributes:
        version: of this format.
        epochs: in order of time; the last one is the present.
        register_key: what the register of erasures calls subjects with; it makes no pseudonyms.
    """

    version: Literal[1] = 1
    epochs: Annotated[tuple[Epoch, ...], Field(min_length=1)]
    register_key: Annotated[bytes, Field(min_length=REGISTER_BYTES, max_length=REGISTER_BYTES, repr=False)]

    @classmethod
    def begun(cls, now: datetime, random: bytes) -> Self:
        """The first one, from `RANDOM_BYTES` and `REGISTER_BYTES` that nobody knows."""
        return cls(
            epochs=(Epoch(since=now, tree=KeyTree.grown(random[:RANDOM_BYTES])),), register_key=random[RANDOM_BYTES:]
        )

    @property
    def present(self) -> Epoch:
        """The epoch that pseudonyms are made in now."""
        return self.epochs[-1]

    def kept(self, namespace: str) -> tuple[PseudonymKey, ...]:
        """Every key of a namespace that is left, the oldest first."""
        return tuple(key for each in self.epochs for key in each.kept(namespace))

    def rotated(self, now: datetime, random: bytes) -> Self:
        """The same with other keys for all namespaces from now on."""
        return self._with((*self.epochs, Epoch(since=now, tree=KeyTree.grown(random))))

    def renewed(self, namespaces: Iterable[str]) -> Self:
        """The same with other keys for these namespaces from now on."""
        return self._with((*self.epochs[:-1], self.present.renewed(namespaces)))

    def without(self, namespaces: Iterable[str], now: datetime, random: bytes) -> Self:
        """The same without any key that these namespaces have had; they get new ones, and others keep theirs.

        If too much has been destroyed in the present epoch, a new one begins for all namespaces.
        """
        theirs = tuple(namespaces)
        left = tuple(each.without(theirs) for each in self.epochs)
        made = self._with((*left[:-1], left[-1].renewed(theirs)))
        return made if len(made.present.tree.secrets) <= MOST_SECRETS else made.rotated(now, random)

    def without_any(self, now: datetime, random: bytes) -> Self:
        """The same without any key that any namespace has had, whether anybody knows it or not."""
        return self._with((Epoch(since=now, tree=KeyTree.grown(random)),))

    def without_ended_before(self, moment: datetime) -> Self:
        """The same without epochs that were over by then."""
        ends = [*(each.since for each in self.epochs[1:]), None]
        left = tuple(each for each, end in zip(self.epochs, ends, strict=True) if end is None or end >= moment)
        return self if len(left) == len(self.epochs) else self._with(left)

    def _with(self, epochs: tuple[Epoch, ...]) -> Self:
        return self.model_copy(update={"epochs": epochs})

    def encoded(self) -> bytes:
        """The same bytes for the same keyring."""
        return gzip.compress(self.model_dump_json().encode(), mtime=0)

    @classmethod
    def decoded(cls, content: bytes) -> Self:
        """Read what `encoded` made. Raises KeyringUnusable."""
        try:
            unpacking = zlib.decompressobj(wbits=31)
            text = unpacking.decompress(content, _LARGEST)
            return cls.model_validate_json(text if unpacking.eof else b"")
        except (ValidationError, zlib.error):
            raise KeyringUnusable from None


def _name(namespace: str, turn: int) -> str:
    """What a key is called in a tree. No namespace holds a line feed."""
    return f"{turn}\n{namespace}"
