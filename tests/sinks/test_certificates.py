"""What is handed to a collector is what it takes: one file that it does not take would stop it for everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from audit_operator.sinks.certificates import NotTaken, authorities, client

NOW = datetime(2026, 11, 28, tzinfo=UTC)
P256 = ec.generate_private_key(ec.SECP256R1())


def made(key=P256, name="x", *extensions, critical=False):
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(names, names, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    for each in extensions:
        builder = builder.add_extension(each, critical)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def pem(key, form=PrivateFormat.PKCS8, secret=NoEncryption()):  # noqa: B008  # frozen
    return key.private_bytes(Encoding.PEM, form, secret)


KEYS = {"P-256": P256, "RSA": rsa.generate_private_key(65537, 2048), "Ed25519": ed25519.Ed25519PrivateKey.generate()}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_what_everybody_uses_is_taken(key):
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("store"), x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a/sa/b")]
    )
    constraints = x509.NameConstraints([x509.DNSName(".corp.example"), x509.DNSName("corp.example")], None)
    basic, identity = x509.BasicConstraints(True, 0), x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = made(key, "Autorité", alternatives, constraints, basic, identity)
    assert authorities(certificate) == certificate
    assert client(certificate, pem(key)) == (certificate, pem(key))


REFUSED = {
    "curve": made(ec.generate_private_key(ec.SECP256K1())),
    "algorithm": made(dsa.generate_private_key(2048)),
    "address": made(P256, "x", x509.SubjectAlternativeName([x509.UniformResourceIdentifier("http://[::1")])),
    "constraints": made(P256, "x", x509.NameConstraints([x509.DNSName("a b")], None)),
    "critical": made(P256, "x", x509.SubjectKeyIdentifier(b"x"), critical=True),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_might_be_refused_is_left_out(refused):
    good = made()
    assert authorities(refused + good) == good
    with pytest.raises(NotTaken):
        authorities(refused)
    with pytest.raises(NotTaken):
        client(refused + good, pem(P256))


def test_files_are_written_as_everybody_reads_them():
    good = made()
    loose = b"# \xc3\xa9\r\n" + good.replace(b"\n", b"\r\n") + b"x"
    assert authorities(loose) == good
    assert client(loose, b"x" + pem(P256, PrivateFormat.TraditionalOpenSSL)) == (good, pem(P256))


@pytest.mark.parametrize(
    "key", [b"", b"nothing", pem(KEYS["RSA"]), pem(P256, secret=BestAvailableEncryption(b"x")), made()]
)
def test_a_key_that_does_not_belong_to_its_certificate_is_refused(key):
    with pytest.raises(NotTaken):
        client(made(), key)
    with pytest.raises(NotTaken):
        client(pem(P256), pem(P256))
