"""Driver `ConfigMap`: the policy and its digest are written there, and somebody else brings them to the API servers.

Beside them stand fragments of configuration for the platforms that there are, as far as they fit.

Nothing is claimed about what these run: they are not seen from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.controlplane.fragments import Platform, render_fragment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.api.references import ConfigMapRef
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICY_KEY = "policy.yaml"
DIGEST_KEY = "digest"
DIGEST_ANNOTATION = "audit-operator.dev/policy-digest"
TOO_LARGE = "policy-too-large"
FRAGMENT_LEFT_OUT = "fragment-left-out"

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

    def __init__(self, store: ConfigMapStore, where: ConfigMapRef, log: LogSettings) -> None:
        """Does nothing yet."""
        self._store = store
        self._where = where
        self._log = log
        self._content = Content({}, ())
        self._told = ""
        self._problem = ""

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Write the policy if something else is there. One that is too large leaves what is there as it is."""
        if self._told != desired.digest:
            self._content = content(desired, self._log)
        self._told, self._problem = desired.digest, ""
        if self._content.size > LARGEST:
            finding = too_large(self._content.size)
            self._problem = finding.message
            return (finding,)
        try:
            await self._write(self._content.data)
        except ConfigMapUnavailable as error:
            self._problem = str(error)
        return ()

    async def hold(self) -> None:
        """Nothing to do: what is written stays."""

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """One observation, which stands for all API servers behind the ConfigMap: unknown, whatever was written."""
        name = f"{self._where.namespace}/{self._where.name}"
        return (
            ApiServerObservation(
                name,
                desired_digest=self._told,
                state=ApiServerState.UNKNOWN,
                last_error=self._problem,
                notes=self._content.notes,
            ),
        )

    async def aclose(self) -> None:
        """Nothing to do: what is written stays."""

    async def _write(self, data: Mapping[str, str]) -> None:
        """Only where it differs, so that unchanged input causes no write, and a change by others is undone."""
        there = await self._store.read(self._where.namespace, self._where.name) or {}
        if any(there.get(key) != value for key, value in data.items()):
            annotations = {DIGEST_ANNOTATION: data[DIGEST_KEY]}
            await self._store.apply(self._where.namespace, self._where.name, data, annotations)


@dataclass(frozen=True, slots=True)
class Content:
    """What a ConfigMap is to hold, and what was left out of it.

    Attributes:
        data: values by key; more bytes than `LARGEST` only if policy and digest alone are more.
        notes: which fragments do not fit.
    """

    data: Mapping[str, str]
    notes: tuple[Finding, ...]

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(len(value.encode()) for value in self.data.values())


def content(desired: DesiredPolicy, log: LogSettings) -> Content:
    """The policy and its digest, and as many fragments as fit beside them."""
    data = {POLICY_KEY: desired.text, DIGEST_KEY: desired.digest}
    left = LARGEST - Content(data, ()).size
    missing: list[Platform] = []
    for platform in Platform:
        fragment = render_fragment(platform, desired, log)
        size = len(fragment.encode())
        if size > left:
            missing.append(platform)
        else:
            data[platform.key] = fragment
            left -= size
    return Content(data, (_left_out(missing),) if missing else ())


def _left_out(platforms: Iterable[Platform]) -> Finding:
    names = ", ".join(each.value for each in platforms)
    return Finding(
        id=FRAGMENT_LEFT_OUT,
        severity=Severity.WARNING,
        message=f"beside the policy, there is no room in the ConfigMap for the fragments for {names}",
        mend="take them from `audit-operator compile --for`",
        path="spec.configMap",
    )


def too_large(size: int) -> Finding:
    """Why a policy does not go into a ConfigMap."""
    return Finding(
        id=TOO_LARGE,
        severity=Severity.ERROR,
        message=f"the policy takes {size} bytes, and a ConfigMap holds {LARGEST}",
        mend="let more namespaces share the same policies, or set precision: Envelope",
        path="spec.configMap",
    )
