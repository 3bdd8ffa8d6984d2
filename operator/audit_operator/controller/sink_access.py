"""From a sink to its store: with the address that its spec has, and what the Secrets hold that it names."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding
from audit_operator.api.sink import AuditSink, CredentialType, SinkType
from audit_operator.controller.sink_secrets import read_secrets
from audit_operator.plan.credentials import (
    AUTHORIZATION,
    CA,
    CERTIFICATE,
    KEY,
    secret_name,
    sink_credentials,
)
from audit_operator.shipping.exporters import Unusable, access_key_parts
from audit_operator.sinks.access import Access
from audit_operator.sinks.network import Network
from audit_operator.sinks.opening import open_store
from audit_operator.sinks.retention.file import FileRetention
from audit_operator.sinks.retention.opening import open_retention
from audit_operator.sinks.retention.s3 import S3Retention
from audit_operator.sinks.retention.s3_orders import Turns
from audit_operator.sinks.retention.s3_trials import Trials
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.unsupported import UnsupportedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit_operator.api.findings import ObjectRef
    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.credentials import SecretName
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.retention.protocol import RetentionStore
    from audit_operator.sinks.store import Store

_NOT_FOR_TENANTS = "the operator asks S3 for ClusterAuditSinks alone: it cannot keep an address of a tenant's in bounds"
_NOT_ITS_IDENTITY = "the sink names no access key: shippers have the identity of their node, and the operator has not"


@dataclass(slots=True)
class Stores:
    """Opens stores. One whose sink and Secrets stay the same stays open: making a TLS context takes a while.

    Attributes:
        secrets: where Secrets are read.
        platform: the way to stores that the platform team chose.
        tenants: the way to stores that tenants chose.
        files: the folder of a sink of type File that control planes of these names ship to, where it is on this machine
            and nobody else's records for the sink are anywhere else.
        trials: of buckets that are to refuse deletions; one at a time, of all of them.
        turns: of sinks that change the rules of the same bucket.
    """

    secrets: Secrets
    platform: Network = field(default_factory=Network)
    tenants: Network = field(default_factory=lambda: Network(foreign=True))
    files: Callable[[ObjectRef, tuple[str, ...]], Path | None] = lambda _sink, _clusters: None
    trials: Trials = field(default_factory=Trials)
    turns: Turns = field(default_factory=Turns)

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

    async def open_retention(self, sink: Sink, clusters: tuple[str, ...]) -> RetentionStore | Failure:
        """Whoever asks the store of a sink about retention; `clusters` are the names that records of ours carry."""
        access = await self.access(sink)
        if isinstance(access, Failure):
            return access
        is_tenants = isinstance(sink, AuditSink)
        folder = self.files(sink.ref, clusters) if sink.spec.type is SinkType.FILE else None
        if folder is not None:
            return FileRetention(folder)
        network = self.tenants if is_tenants else self.platform
        # Its address may be that of a store that is everybody's: no tenant has anything deleted.
        made = await asyncio.to_thread(open_retention, sink, access, network, clusters, may_delete=not is_tenants)
        return replace(made, trials=self.trials, turns=self.turns) if isinstance(made, S3Retention) else made

    async def access(self, sink: Sink) -> Access | Failure:
        """What the Secrets of a sink hold."""
        read = await read_secrets(self.secrets, sink)
        if isinstance(read, Finding):
            return Failure(Reason.SECRET_UNREADABLE, read.message, read.mend)
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
        parts = access_key_parts(read[secret_name(sink, credentials.secret_ref)])
        if isinstance(parts, Unusable):
            return Failure(Reason.CREDENTIALS_INVALID, parts.message, parts.mend)
        return Access(access_key_id=parts[0], secret_access_key=parts[1])
    made = sink_credentials(sink, read)
    if isinstance(made, Finding):
        return Failure(Reason.CREDENTIALS_INVALID, made.message, made.mend)
    files = {name: content.decode("utf-8", "replace") for name, content in made.files.items()}
    return Access(files.get(AUTHORIZATION, ""), files.get(CA, ""), files.get(CERTIFICATE, ""), files.get(KEY, ""))
