"""Keys that sign seals and reports (Ed25519), and those that these are verified with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

if TYPE_CHECKING:
    from audit_operator.integrity.signed import Signed

_ID_CHARACTERS = 16
_Document = TypeVar("_Document", bound="Signed")


class KeyUnusableError(ValueError):
    """What should be a key is none; the message says what is expected, and nothing of what is there."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key; `id` is the beginning of its SHA-256 in hex."""

    id: str
    _key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> VerifyKey:
        """From the library's."""
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(hashlib.sha256(raw).hexdigest()[:_ID_CHARACTERS], key)

    @classmethod
    def read(cls, pem: bytes) -> VerifyKey:
        """From PEM. Raises KeyUnusableError."""
        try:
            key = load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyUnusableError("not a public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyUnusableError("not a public key of type Ed25519")
        return cls.of(key)

    def signed(self, document: Signed) -> bool:
        """Whether this key has signed that document."""
        try:
            self._key.verify(bytes.fromhex(document.signature), document.signed_bytes())
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """As a file holds it."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def make(cls) -> SigningKey:
        """A new one."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, pem: bytes) -> SigningKey:
        """From PEM without a password. Raises KeyUnusableError."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # Not the library's words: they may quote what it read.
            raise KeyUnusableError("not a private key in PEM without a password") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusableError("not a private key of type Ed25519")
        return cls(key)

    @property
    def public(self) -> VerifyKey:
        """The key that verifies what this one signs."""
        return VerifyKey.of(self._key.public_key())

    def sign(self, document: _Document) -> _Document:
        """The document with this key's name and signature."""
        named = document.model_copy(update={"key_id": self.public.id})
        return named.model_copy(update={"signature": self._key.sign(named.signed_bytes()).hex()})

    def pem(self) -> bytes:
        """As a file holds it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
