r"""Pseudonyms: the same one for the same subject within a namespace, and no way back without the key.

A pseudonym is ``p-``, the id of its key, ``-``, and the beginning of ``SHA-256(key \n SHA-256(namespace) \n value \n
key)``. The collector has no HMAC. A hash with a secret before the message alone would let whoever knows one pseudonym
compute those of certain longer values, though not invert any; the key stands at the end as well, which rules that out.
Namespace and key have a fixed length, so that no two inputs read alike. Each namespace has a key of its own
(`keyring`), and takes part by its name, too: nobody can follow a person from one team's sink to another's, and
destroying the key makes all pseudonyms of its time meaningless. Without a key the marker takes the place of the
pseudonym: a hash without a key is undone by trying names. The id says which key it was, and nothing about it.

Names that begin with `system:` are no persons' and stay.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from audit_operator.shipping.redaction.rules import MARKER

PREFIX = "p-"
ID_DIGITS, DIGITS = 8, 32
BETWEEN = "\n"
ID_OF = "id"
"""Stands before a key where its id is made."""

USERS = ("user", "impersonatedUser")
NO_PERSON = r"^(?:system:|p-[0-9a-f]{8}-[0-9a-f]{32}$|\[REDACTED\]$|$)"
"""Names that stay: of the system's own, pseudonyms and none."""
NO_ADDRESS = r"^(?:p-[0-9a-f]{8}-[0-9a-f]{32}|\[REDACTED\])$"
EXTRA = r"^(?:authentication\.kubernetes\.io/|redacted$)"
"""Keys of a user's extra fields that stay; what an identity provider adds may name the person."""

REPEATED = (
    ("annotations", "authorization.k8s.io/reason"),
    ("responseStatus", "message"),
    ("responseObject", "message"),
)
"""Where the API server repeats the name. What holds it after `QUOTED` was replaced is replaced as a whole."""
QUOTED = r'User "(?:[^"\\]|\\.)*"'
URL_ESCAPES = (("%", "%25"), ("@", "%40"), (":", "%3A"), ("/", "%2F"), (" ", "%20"), ("[+]", "%2B"))

ADDRESSES = 4
"""So many are told apart."""


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A key, in hex, and by what pseudonyms name it."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> Self:
        """With the id that it always has."""
        return cls(hashlib.sha256(BETWEEN.join((ID_OF, secret)).encode()).hexdigest()[:ID_DIGITS], secret)


def pseudonym(key: PseudonymKey | None, namespace: str, value: str) -> str:
    """The pseudonym of a value; the marker where there is no key."""
    if key is None:
        return MARKER
    of_namespace = hashlib.sha256(namespace.encode("utf-8", "surrogatepass")).hexdigest()
    parts = key.secret, of_namespace, value, key.secret
    digest = hashlib.sha256(BETWEEN.join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}{key.id}-{digest[:DIGITS]}"
