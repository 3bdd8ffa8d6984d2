"""A key for every name, from one secret, such that the key of a single name can be destroyed for ever.

Keys that are derived from one secret cannot be destroyed one by one: whoever has the secret derives them again. Keys
that are stored can, but there would be one for each namespace and each time that it was renewed, and somebody would
have to write each before it is used. This is the way between: a binary tree of secrets, each of which gives its two
children and is given by neither (Goldreich, Goldwasser and Micali, 1986). To destroy the key of a name, the secrets on
the way to it are replaced by those of its siblings beside the way: they give all other keys, and not this one
("puncturable", Boneh and Waters, 2013). So what is stored grows with what was destroyed, and not with namespaces.

Where in the tree a name stands depends on a secret of its own. Else, whoever may choose the name of a namespace could
look for one that stands in the same place as another's, which would be destroyed together with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping  # pydantic needs it at run time
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DEPTH = 40
"""Of 10,000 names, two stand in one place once in some 20,000 trees. They have different keys even so."""
SECRET_BYTES = 16

_Secret = Annotated[bytes, Field(min_length=SECRET_BYTES, max_length=SECRET_BYTES, repr=False)]
_Place = Annotated[str, StringConstraints(pattern=rf"^[01]{{0,{DEPTH}}}$")]


class KeyTree(BaseModel):
    """What is left of a tree.

    Attributes:
        places: decides where names stand.
        secrets: by place, none of them above another: they give all keys that were not destroyed.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True
    )

    places: _Secret
    secrets: Mapping[_Place, _Secret] = Field(repr=False)

    @classmethod
    def grown(cls, random: bytes) -> Self:
        """A whole tree, from twice `SECRET_BYTES` that nobody knows."""
        return cls(places=random[:SECRET_BYTES], secrets={"": random[SECRET_BYTES:]})

    def key(self, name: str) -> str | None:
        """The key of a name, in hex; None once it was destroyed."""
        place = self._place(name)
        at = self._above(place)
        if at is None:
            return None
        secret = self.secrets[at]
        for turn in place[len(at) :]:
            secret = _child(secret, turn)
        return hmac.digest(secret, b"key\n" + _bytes(name), "sha256").hex()

    def without(self, name: str) -> Self:
        """The same, but for the key of this name."""
        place = self._place(name)
        at = self._above(place)
        if at is None:
            return self
        left, secret = dict(self.secrets), self.secrets[at]
        del left[at]
        for depth in range(len(at), DEPTH):
            turn = place[depth]
            beside = "1" if turn == "0" else "0"
            left[place[:depth] + beside] = _child(secret, beside)
            secret = _child(secret, turn)
        return type(self)(places=self.places, secrets=left)

    def _place(self, name: str) -> str:
        digest = hmac.digest(self.places, _bytes(name), "sha256")
        return "".join(f"{byte:08b}" for byte in digest[: DEPTH // 8])

    def _above(self, place: str) -> str | None:
        """The place of the secret that gives what is there."""
        return next((place[:length] for length in range(DEPTH + 1) if place[:length] in self.secrets), None)


def _child(secret: bytes, turn: str) -> bytes:
    return hmac.digest(secret, turn.encode(), "sha256")[:SECRET_BYTES]


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
