"""Driver `ConfigMap`: the policy and its digest are written there, and somebody else brings them to the API servers.

Nothing is claimed about what these run: they are not seen from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.api.references import ConfigMapRef

POLICY_KEY = "policy.yaml"
DIGEST_KEY = "digest"
DIGEST_ANNOTATION = "audit-operator.dev/policy-digest"
TOO_LARGE = "policy-too-large"

LARGEST = 1024 * 1024
"""Bytes in all values of a ConfigMap together (`MaxSecretSize` in pkg/apis/core/types.go of Kubernetes)."""


class ConfigMapUnavailable(Exception):  # noqa: N818  # a state of the cluster
    """The ConfigMap could not be read or written; the message says why."""


class ConfigMapStore(Protocol):
    """The cluster, as far as this driver needs it. Implemented by `cluster`. All raise ConfigMapUnavailable."""

    async def read(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap; None if there is none."""
        ...

    async def apply(self, namespace: str, name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Make these the data and annotations that we own (server-side apply)."""
        ...


class ConfigMapDriver:
    """Delivers to one ConfigMap. Implements `driver.Driver`."""

    def __init__(self, store: ConfigMapStore, where: ConfigMapRef) -> None:
        """Does nothing yet."""
        self._store = store
        self._where = where
        self._told = ""
        self._problem = ""

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Write the policy if something else is there. One that is too large leaves what is there as it is."""
        self._told, self._problem = desired.digest, ""
        data = {POLICY_KEY: desired.text, DIGEST_KEY: desired.digest}
        size = sum(len(value.encode()) for value in data.values())
        if size > LARGEST:
            finding = too_large(size)
            self._problem = finding.message
            return (finding,)
        try:
            await self._write(data)
        except ConfigMapUnavailable as error:
            self._problem = str(error)
        return ()

    async def hold(self) -> None:
        """Nothing to do: what is written stays."""

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """One observation, which stands for all API servers behind the ConfigMap: unknown, whatever was written."""
        name = f"{self._where.namespace}/{self._where.name}"
        state = ApiServerState.UNKNOWN
        return (ApiServerObservation(name, desired_digest=self._told, state=state, last_error=self._problem),)

    async def aclose(self) -> None:
        """Nothing to do: what is written stays."""

    async def _write(self, data: Mapping[str, str]) -> None:
        """Only where it differs, so that unchanged input causes no write, and a change by others is undone."""
        there = await self._store.read(self._where.namespace, self._where.name) or {}
        if any(there.get(key) != value for key, value in data.items()):
            annotations = {DIGEST_ANNOTATION: data[DIGEST_KEY]}
            await self._store.apply(self._where.namespace, self._where.name, data, annotations)


def too_large(size: int) -> Finding:
    """Why a policy does not go into a ConfigMap."""
    return Finding(
        id=TOO_LARGE,
        severity=Severity.ERROR,
        message=f"the policy takes {size} bytes, and a ConfigMap holds {LARGEST}",
        mend="let more namespaces share the same policies, or set precision: Envelope",
        path="spec.configMap",
    )
