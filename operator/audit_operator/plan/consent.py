"""Whether a tenant's Secret may be sent to where a sink points.

The operator may read Secrets that the author of an AuditSink may not. Who names one would otherwise have it sent to an
address of their own. So whoever may write the Secret says in it where its content may go; being able to name it is not
enough. Certificates need no such word: a key stays where it is, and authorities are no secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.references import ADDRESS_ANNOTATION
from audit_operator.api.sink import AuditSink
from audit_operator.plan.credentials import secret_name, unusable
from audit_operator.plan.sink_addresses import address_of, origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.findings import Finding
    from audit_operator.plan.credentials import SecretName
    from audit_operator.plan.sinks import Sink


def withheld(sink: Sink, name: SecretName, addresses: Iterable[str]) -> Finding | None:
    """Why a Secret may not be used for a sink; None if it may. `addresses` is where its content may be sent."""
    if not isinstance(sink, AuditSink) or sink.spec.credentials is None:
        return None
    if name != secret_name(sink, sink.spec.credentials.secret_ref):
        return None
    wanted = origin(address_of(sink)[1])
    if wanted in {origin(each) for each in addresses}:
        return None
    said = f"Secret {name} does not say that it may be sent to {wanted}"
    mend = f"kubectl annotate secret {name.name} -n {name.namespace} {ADDRESS_ANNOTATION}={wanted}"
    return unusable(sink, said, mend)
