"""Which buckets one collector may write to.

Its exporter for S3 has no setting for an access key: whatever it writes, it writes as one and the same. So a key is
never lent: not to a tenant, who could name any bucket that it opens, and not to a sink that names another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.sink import AuditSink, SinkType
from audit_operator.plan.credentials import ACCESS_KEY, SinkCredentials, secrets_of, unusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import Finding, ObjectRef
    from audit_operator.plan.sinks import Sink

OWN_COLLECTOR = "send OTLP to a collector of yours that writes there"


def barred_buckets(
    sinks: Iterable[Sink], credentials: Mapping[ObjectRef, SinkCredentials | Finding]
) -> dict[ObjectRef, Finding]:
    """Why buckets among these sinks cannot be written to; the first, by name, whose key can be had decides for all."""
    barred: dict[ObjectRef, Finding] = {}
    first: Sink | None = None
    for sink in sorted((each for each in sinks if each.spec.type is SinkType.S3), key=lambda each: str(each.ref)):
        if isinstance(sink, AuditSink):
            said = "the shippers write to all buckets as one, and an AuditSink must not choose where"
            barred[sink.ref] = unusable(sink, said, f"ask for a ClusterAuditSink, or {OWN_COLLECTOR}")
        elif not isinstance(credentials.get(sink.ref, SinkCredentials({})), SinkCredentials):
            continue  # there is another finding about it
        elif first is None:
            first = sink
        elif secrets_of(sink) != secrets_of(first):
            said = f"the shippers write to all buckets as one, and {first.ref} names another access key"
            barred[sink.ref] = unusable(sink, said, f"use one Secret for all sinks of type S3, or {OWN_COLLECTOR}")
    return barred


def access_key_revision(credentials: Mapping[ObjectRef, SinkCredentials | Finding], used: Iterable[ObjectRef]) -> str:
    """Another one for another key; empty where no sink that is used has one."""
    known = (credentials.get(ref) for ref in used)
    keys = {each.revision for each in known if isinstance(each, SinkCredentials) and ACCESS_KEY in each.files}
    return "".join(sorted(keys))
