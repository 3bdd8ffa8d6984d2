"""Certificates and keys as the collector takes them.

Its TLS is stricter than Python's: what only the latter takes would keep a collector from starting, with the sinks of
everybody (measured: a negative serial number; a key that stands in the file of its certificate). So what is handed on
is made anew from what was read, and a certificate that may be refused is not among it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----[A-Za-z0-9+/=\s]+-----END \1-----")
_CURVES = frozenset({"secp224r1", "secp256r1", "secp384r1", "secp521r1"})
_LEAST_BITS = 1024
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9 '()+,./:=?*&-]*")
_PLAIN_URI = re.compile(r"[a-z]+://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._/-]*)?")
_PLAIN_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_POLICY_MAPPINGS = "2.5.29.33"
"""Rare, strictly read there, and not read here."""
_NEVER_CRITICAL = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.AuthorityInformationAccess)
_REFUSED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class NotTaken(Exception):  # noqa: N818  # a state of what was read
    """The collector would take none of it. The message quotes nothing."""


def authorities(pem: bytes) -> bytes:
    """Those of a bundle that the collector takes; it leaves out the others, too.

    Raises:
        NotTaken: there is none.
    """
    found = [each.public_bytes(Encoding.PEM) for each in _certificates(pem) if _is_taken(each)]
    if not found:
        raise NotTaken("the collector takes none of the certificates of the authority")
    return b"".join(found)


def client(certificate: bytes, key: bytes) -> tuple[bytes, bytes]:
    """A client certificate with its chain, and its key.

    Raises:
        NotTaken: the certificate is none that the collector takes, or the key is not its.
    """
    chain, block = list(_certificates(certificate)), _KEY.search(key)
    if not chain or not _is_taken(chain[0]):  # it reads no other
        raise NotTaken("the collector does not take the client certificate")
    try:
        private = load_pem_private_key(block[0] if block else b"", None)
        same = _spki(private.public_key()) == _spki(chain[0].public_key())
        made = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except _REFUSED as error:
        raise NotTaken("the key of the client certificate cannot be read") from error
    if not same:
        raise NotTaken("the key is not that of the client certificate")
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain), made


def _certificates(pem: bytes) -> Iterator[x509.Certificate]:
    for block in _CERTIFICATE.findall(pem):
        try:
            yield x509.load_pem_x509_certificate(block)
        except _REFUSED:
            continue


def _is_taken(certificate: x509.Certificate) -> bool:
    """Whether crypto/x509 of Go parses it; a few that it would parse are not taken either."""
    try:
        names = (*certificate.subject, *certificate.issuer)
        return (
            certificate.serial_number >= 0
            and all(map(_is_plain, names))
            and all(map(_is_parsed, certificate.extensions))
            and _is_known(certificate.public_key())
        )
    except _REFUSED:
        return False


def _is_plain(attribute: x509.NameAttribute[str | bytes]) -> bool:
    """Text in UTF-8, or in characters that every type of text has."""
    value = attribute.value
    is_utf8 = attribute._type.name == "UTF8String"  # noqa: SLF001 - no other way to its type
    return isinstance(value, str) and (is_utf8 or _PLAIN_TEXT.fullmatch(value) is not None)


def _is_parsed(extension: x509.Extension[x509.ExtensionType]) -> bool:
    value = extension.value
    if isinstance(value, _NEVER_CRITICAL) and extension.critical:
        return False
    if isinstance(value, x509.SubjectAlternativeName):
        uris = value.get_values_for_type(x509.UniformResourceIdentifier)
        return all(_PLAIN_URI.fullmatch(each) for each in uris)
    if isinstance(value, x509.NameConstraints):
        return all(map(_is_plain_constraint, (*(value.permitted_subtrees or ()), *(value.excluded_subtrees or ()))))
    return value.oid.dotted_string != _POLICY_MAPPINGS


def _is_plain_constraint(name: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName):
        return _PLAIN_DOMAIN.fullmatch(name.value) is not None
    return isinstance(name, x509.IPAddress | x509.DirectoryName)


def _is_known(key: object) -> bool:
    if isinstance(key, RSAPublicKey):
        return key.key_size >= _LEAST_BITS
    return isinstance(key, Ed25519PublicKey) or (isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES)


def _spki(key: object) -> bytes:
    """The public key in one form; raises TypeError where the collector has no use for it."""
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise TypeError("not a key for signing that is known")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
