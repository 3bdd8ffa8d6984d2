"""From the Secrets that a sink names to the files that a collector reads.

Each content of a sink's Secrets has a folder of its own. So credentials that change are a change of the configuration:
the collector is told, says when it uses them, and goes back to the former ones if it does not come up.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.sink import CredentialType
from audit_operator.plan.sink_addresses import address_of, origin
from audit_operator.shipping.exporters import Unusable, access_key, authorization

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.api.sink import ClusterSecretRef, SecretRef
    from audit_operator.plan.sinks import Sink

NOT_USABLE = "sink-not-usable"
AUTHORIZATION, CA, CERTIFICATE, KEY = "authorization", "ca.crt", "tls.crt", "tls.key"
"""Names of files; but for the first, also of the keys in Secrets."""
ACCESS_KEY = "access-key"
"""Name of the file with the access key of S3; a collector has one at the most."""

_COST = {"n": 2**12, "r": 8, "p": 1}
_LARGEST = 256 * 1024
LARGEST_OF_NAMESPACE = 32 * 1024
"""Bytes for all sinks of a tenant together: what shippers are told has an end, and nobody may use it up alone."""


@dataclass(frozen=True, slots=True, order=True)
class SecretName:
    """Names one Secret."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class SinkCredentials:
    """What a collector needs to prove who it is to one sink, and to recognise it.

    Attributes:
        files: their content by name.
        stale: why what the Secrets hold now cannot be used; these are then what they held before.
    """

    files: Mapping[str, bytes] = field(repr=False)
    stale: Finding | None = None

    @cached_property
    def revision(self) -> str:
        """Another one for other content. It shows in configurations, hence a function that makes guessing dear."""
        content = b"".join(b"%d %s%s" % (len(text), name.encode(), text) for name, text in sorted(self.files.items()))
        return hashlib.scrypt(content, salt=b"audit-operator", dklen=8, **_COST).hex()

    def folder(self, sink: ObjectRef) -> str:
        """Where the files lie, below the folder of all credentials."""
        return f"{sink_name(sink)}/{self.revision}"


def sink_name(ref: ObjectRef) -> str:
    """A name for a sink that no other sink has: a queue on disk is found again under it."""
    return ".".join(filter(None, (ref.kind.lower(), ref.namespace, ref.name)))


@dataclass(frozen=True, slots=True)
class HeldCredentials:
    """Credentials that shippers hold, and whose they are (`identity`)."""

    identity: str
    credentials: SinkCredentials


def identity(sink: Sink) -> str:
    """Another one for a sink that was made anew, or names other Secrets or another store.

    Credentials of the one are never used for the other.
    """
    named = {
        "uid": sink.metadata.uid,
        "credentials": sink.spec.credentials.model_dump(mode="json") if sink.spec.credentials else None,
        "certificates": [(str(name), key) for name, key in _certificates(sink)],
        "store": origin(address_of(sink)[1]),
    }
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def secrets_of(sink: Sink) -> tuple[SecretName, ...]:
    """The Secrets that a sink names, each once."""
    tls = sink.spec.tls
    named = (
        sink.spec.credentials.secret_ref if sink.spec.credentials else None,
        tls.ca_secret_ref if tls else None,
        tls.client_secret_ref if tls else None,
    )
    return tuple(sorted({secret_name(sink, each) for each in named if each is not None}))


def sink_credentials(sink: Sink, secrets: Mapping[SecretName, Mapping[str, bytes]]) -> SinkCredentials | Finding:
    """The files for a sink, from all the Secrets that it names; a finding where they do not hold what it needs.

    Whether certificates and keys can be used is for others to find out.
    """
    files: dict[str, bytes] = {}
    if sink.spec.credentials is not None:
        name = secret_name(sink, sink.spec.credentials.secret_ref)
        kind = sink.spec.credentials.type
        is_key = kind is CredentialType.ACCESS_KEY
        made = access_key(secrets[name]) if is_key else authorization(kind, secrets[name])
        if isinstance(made, Unusable):
            return unusable(sink, f"Secret {name}: {made.message}", made.mend)
        files[ACCESS_KEY if is_key else AUTHORIZATION] = made.encode()
    for secret, key in _certificates(sink):
        content = secrets[secret].get(key, b"")
        if not content.strip():
            return unusable(sink, f"Secret {secret} has no key {key}", f"put it into the Secret under {key}, as PEM")
        files[key] = content
    if sum(map(len, files.values())) > _LARGEST:
        return unusable(sink, f"the Secrets of {sink.ref} hold more than {_LARGEST} bytes", "keep what is needed there")
    return SinkCredentials(files)


def bounded(
    credentials: Mapping[ObjectRef, SinkCredentials | Finding],
) -> dict[ObjectRef, SinkCredentials | Finding]:
    """The same, but for those sinks of a tenant, in order of their names, that take its namespace beyond its bound."""
    taken: Counter[str] = Counter()
    result = dict(credentials)
    for ref, known in sorted(credentials.items()):
        if not ref.namespace or isinstance(known, Finding):
            continue
        taken[ref.namespace] += sum(map(len, known.files.values()))
        if taken[ref.namespace] > LARGEST_OF_NAMESPACE:
            said = f"the Secrets of this namespace's sinks hold more than {LARGEST_OF_NAMESPACE} bytes together"
            mend = "keep in them what is needed, for example one authority and not all that there are"
            result[ref] = Finding(NOT_USABLE, Severity.ERROR, said, mend, object=ref)
    return result


def unusable(sink: Sink, message: str, mend: str) -> Finding:
    """Why nothing can be sent to a sink."""
    return Finding(NOT_USABLE, Severity.ERROR, message, mend, object=sink.ref)


def _certificates(sink: Sink) -> Iterator[tuple[SecretName, str]]:
    """Secrets and keys of what TLS needs."""
    tls = sink.spec.tls
    if tls is not None and tls.ca_secret_ref is not None:
        yield secret_name(sink, tls.ca_secret_ref), CA
    if tls is not None and tls.client_secret_ref is not None:
        name = secret_name(sink, tls.client_secret_ref)
        yield name, CERTIFICATE
        yield name, KEY


def secret_name(sink: Sink, ref: SecretRef | ClusterSecretRef) -> SecretName:
    """A tenant's sink names no namespace: its Secrets lie in its own, and in no other."""
    return SecretName(sink.metadata.namespace or getattr(ref, "namespace", ""), ref.name)
