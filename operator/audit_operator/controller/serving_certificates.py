"""Certificates of the injection webhook, and how one follows another without a moment in which none is trusted.

The API server trusts a bundle, and the replicas serve with a certificate; neither hears of a change at once. So a new
authority is trusted for a while before anything is served with it, and the former one for as long as it lives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIFETIME = timedelta(days=90)
RENEWED_BEFORE = timedelta(days=30)
"""Time before the end at which a successor is made."""
TRUSTED_BEFORE = timedelta(hours=1)
"""How long a successor is trusted before anything is served with it: much longer than anybody takes to hear of it."""
_CLOCK_SKEW = timedelta(minutes=10)


class CertificatesError(ValueError):
    """What was stored cannot be read."""


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A certificate with its key, and the authority that has signed it and nothing else: its key was never kept."""

    authority: str
    certificate: str
    key: str

    def __repr__(self) -> str:
        return f"ServingCertificate(until {self.ends:%Y-%m-%d})"

    @property
    def begins(self) -> datetime:
        """When it was made, but for a little that clocks may differ."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).not_valid_before_utc + _CLOCK_SKEW

    @property
    def ends(self) -> datetime:
        """From when on nobody accepts it."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Certificates:
    """What is served with, what will be, and whom to trust besides.

    Attributes:
        current: served with.
        successor: trusted, and not yet served with.
        former: authorities of what was served with before.
    """

    current: ServingCertificate
    successor: ServingCertificate | None = None
    former: str = ""

    @property
    def bundle(self) -> str:
        """Everybody whom the API server is to trust."""
        return self.current.authority + (self.successor.authority if self.successor else "") + self.former

    def to_data(self) -> dict[str, str]:
        """As a Secret holds them."""
        data = _pair("", self.current) | {"former.crt": self.former}
        return data | (_pair("next.", self.successor) if self.successor else {})

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> Certificates:
        """Read them back. Raises CertificatesError."""
        try:
            found = cls(_read("", data), _read("next.", data) if "next.tls.crt" in data else None, data["former.crt"])
            for each in filter(None, (found.current, found.successor)):
                _ = each.ends
        except (KeyError, ValueError) as error:
            raise CertificatesError(f"certificates cannot be read: {type(error).__name__}") from error
        return found


def rotated(known: Certificates | None, names: Sequence[str], now: datetime) -> Certificates:
    """What there should be now; the very same object if nothing is to be done."""
    if known is None or known.current.ends - _CLOCK_SKEW <= now:
        return Certificates(issue(names, now))
    if known.successor is not None:
        if now - known.successor.begins < TRUSTED_BEFORE:
            return known
        return Certificates(known.successor, None, known.current.authority)
    if known.current.ends - now <= RENEWED_BEFORE:
        return replace(known, successor=issue(names, now))
    return known


def issue(names: Sequence[str], now: datetime) -> ServingCertificate:
    """A certificate for these host names (and loopback), signed by an authority that signs nothing else."""
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = _name("audit-operator injection webhook authority")
    begins, ends = now.astimezone(UTC) - _CLOCK_SKEW, now.astimezone(UTC) + LIFETIME
    authority = (
        _builder(subject, subject, signer.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    hosts = [*map(x509.DNSName, names), x509.IPAddress(IPv4Address("127.0.0.1"))]
    certificate = (
        _builder(_name(names[0]), subject, key.public_key(), begins, ends)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return ServingCertificate(
        _pem(authority),
        _pem(certificate),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=begins,
        not_valid_after=ends,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pair(prefix: str, pair: ServingCertificate) -> dict[str, str]:
    return {
        f"{prefix}ca.crt": pair.authority,
        f"{prefix}tls.crt": pair.certificate,
        f"{prefix}tls.key": pair.key,
    }


def _read(prefix: str, data: Mapping[str, str]) -> ServingCertificate:
    return ServingCertificate(data[f"{prefix}ca.crt"], data[f"{prefix}tls.crt"], data[f"{prefix}tls.key"])
