"""The Secrets that a sink names, as far as they may be used for it: for those who ship and those who ask stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from audit_operator.cluster.secrets import SecretUnreadable
from audit_operator.plan.consent import withheld
from audit_operator.plan.credentials import secrets_of, unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import Finding
    from audit_operator.cluster.secrets import SecretValues
    from audit_operator.plan.credentials import SecretName
    from audit_operator.plan.sinks import Sink


class Secrets(Protocol):
    """Where Secrets are read."""

    async def read(self, namespace: str, name: str) -> SecretValues | SecretUnreadable:
        """The values of one Secret, or why there are none."""
        ...


async def read_secrets(secrets: Secrets, sink: Sink) -> dict[SecretName, Mapping[str, bytes]] | Finding:
    """What all of them hold; a finding where one cannot be read, or may not be sent to where the sink points."""
    read: dict[SecretName, Mapping[str, bytes]] = {}
    for name in secrets_of(sink):
        values = await secrets.read(name.namespace, name.name)
        if isinstance(values, SecretUnreadable):
            return unusable(sink, values.message, values.mend)
        if (refusal := withheld(sink, name, values.addresses)) is not None:
            return refusal
        read[name] = values
    return read
