"""From a sink to its store: with the address that its spec has, and what the Secrets hold that it names."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.findings import Finding
from audit_operator.api.sink import AuditSink, CredentialType, SinkType
from audit_operator.cluster.secrets import SecretUnreadable
from audit_operator.plan.credentials import (
    AUTHORIZATION,
    CA,
    CERTIFICATE,
    KEY,
    SecretName,
    secret_name,
    secrets_of,
    sink_credentials,
)
from audit_operator.sinks.access import Access, failure
from audit_operator.sinks.network import Network
from audit_operator.sinks.opening import open_store
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.unsupported import UnsupportedStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.store import Store

_NOT_FOR_TENANTS = "the operator asks S3 for ClusterAuditSinks alone: it cannot keep an address of a tenant's in bounds"
_NOT_ITS_IDENTITY = "the sink names no access key: shippers have the identity of their node, and the operator has not"


class Secrets(Protocol):
    """Where Secrets are read."""

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes] | SecretUnreadable:
        """The values of one Secret, or why there are none."""
        ...


@dataclass(slots=True)
class Stores:
    """Opens stores. One whose sink and Secrets stay the same stays open: making a TLS context takes a while.

    Attributes:
        secrets: where Secrets are read.
        platform: the way to stores that the platform team chose.
        tenants: the way to stores that tenants chose.
    """

    secrets: Secrets
    platform: Network = field(default_factory=Network)
    tenants: Network = field(default_factory=lambda: Network(foreign=True))

    async def open(self, sink: Sink, known: OpenStore | None = None) -> OpenStore | Failure:
        """The store of a sink; `known` where nothing has changed since that was opened."""
        access = await self.access(sink)
        if isinstance(access, Failure):
            return access
        if known is not None and (known.sink, known.access) == (sink, access):
            return known
        if sink.spec.type is SinkType.S3 and (isinstance(sink, AuditSink) or sink.spec.credentials is None):
            why = _NOT_FOR_TENANTS if isinstance(sink, AuditSink) else _NOT_ITS_IDENTITY
            return OpenStore(sink, access, UnsupportedStore(why))
        network = self.tenants if isinstance(sink, AuditSink) else self.platform
        store = await asyncio.to_thread(open_store, sink.spec, access, network)
        return store if isinstance(store, Failure) else OpenStore(sink, access, store)

    async def access(self, sink: Sink) -> Access | Failure:
        """What the Secrets of a sink hold."""
        read: dict[SecretName, Mapping[str, bytes]] = {}
        for name in secrets_of(sink):
            values = await self.secrets.read(name.namespace, name.name)
            if isinstance(values, SecretUnreadable):
                return Failure(Reason.SECRET_UNREADABLE, values.message, values.mend)
            read[name] = values
        return _access(sink, read)


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store, and what it was opened with."""

    sink: Sink
    access: Access = field(repr=False)
    store: Store


def _access(sink: Sink, read: Mapping[SecretName, Mapping[str, bytes]]) -> Access | Failure:
    credentials = sink.spec.credentials
    if credentials is not None and credentials.type is CredentialType.ACCESS_KEY:
        secret = read[secret_name(sink, credentials.secret_ref)]
        identity, key = (secret.get(each, b"").decode("latin-1").strip() for each in ("accessKeyID", "secretAccessKey"))
        if identity and key:
            return Access(access_key_id=identity, secret_access_key=key)
        return failure(
            Reason.CREDENTIALS_INVALID, "the Secret's keys accessKeyID and secretAccessKey hold no access key"
        )
    made = sink_credentials(sink, read)
    if isinstance(made, Finding):
        return Failure(Reason.CREDENTIALS_INVALID, made.message, made.mend)
    files = {name: content.decode("utf-8", "replace") for name, content in made.files.items()}
    return Access(files.get(AUTHORIZATION, ""), files.get(CA, ""), files.get(CERTIFICATE, ""), files.get(KEY, ""))
