"""What sidecars read: a ConfigMap for each policy, and a Secret where a sink of the namespace needs one.

Both go with the policy, which owns them, and with its applicationLogs.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.resources import AUDIT_POLICY, CONFIG_MAP, SECRET, Resource
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.plan.application_logs import CONFIG_FILE, PSEUDONYM_VARIABLE
from audit_operator.shipping.injection.names import PREFIX, shipper_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.plan.application_logs import ApplicationFiles

COMPONENT_LABEL, COMPONENT = "app.kubernetes.io/component", "audit-shipper-sidecar"
DIGEST = "audit-operator.dev/digest"
HAS_SECRET = "audit-operator.dev/has-secret"  # noqa: S105 - an annotation
SECRET_KEY = "sidecar.json"  # noqa: S105 - a key
_OURS = Resource("ConfigMap", "configmaps", "", "v1", namespaced=True, label_selector=f"{COMPONENT_LABEL}={COMPONENT}")


class SidecarObjectsError(Exception):
    """They could not be read or written; the message says why."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a ConfigMap of ours says, and whether a Secret belongs to it."""

    owner: str
    data: dict[str, str]
    digest: str
    has_secret: bool


@dataclass(slots=True)
class SidecarObjects:
    """Writes on change alone. What somebody else has changed or deleted is found by `look`."""

    client: RestClient
    field_manager: str
    _written: dict[tuple[str, str], _Written] = field(default_factory=dict)
    _secrets: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)

    async def look(self) -> None:
        """See what is there, from whomever. Raises SidecarObjectsError."""
        try:
            listing = await self.client.list(_OURS, _read)
        except (ApiError, ApiUnreachableError) as error:
            raise SidecarObjectsError(str(error)) from error
        self._written = {name: written for name, written in listing.items if name[1].startswith(PREFIX)}
        self._secrets.clear()

    async def bring(self, policy: AuditPolicy, files: ApplicationFiles) -> None:
        """Make what the policy's sidecars read like this. Raises SidecarObjectsError."""
        namespace, name = policy.metadata.namespace, shipper_name(policy.metadata.name)
        needs_secret = bool(files.credentials or files.pseudonyms)
        wanted = _Written(policy.metadata.uid, {CONFIG_FILE: files.config}, files.digest, needs_secret)
        known = self._written.get((namespace, name))
        try:
            if needs_secret:
                # Before the configuration that names what is in it.
                await self._apply_secret(policy, files)
            if known != wanted:
                await self.client.apply(CONFIG_MAP, _config_map(policy, wanted), field_manager=self.field_manager)
                self._written[namespace, name] = wanted
            if not needs_secret and known is not None and known.has_secret:
                await self.client.delete(SECRET, name=name, namespace=namespace)
                self._secrets.pop((namespace, name), None)
        except (ApiError, ApiUnreachableError) as error:
            raise SidecarObjectsError(str(error)) from error

    async def keep_only(self, policies: Collection[AuditPolicy]) -> None:
        """Delete what no policy wants any more. Raises SidecarObjectsError."""
        wanted = {(each.metadata.namespace, shipper_name(each.metadata.name)) for each in policies}
        try:
            for namespace, name in self._written.keys() - wanted:
                if self._written[namespace, name].has_secret:
                    await self.client.delete(SECRET, name=name, namespace=namespace)
                await self.client.delete(CONFIG_MAP, name=name, namespace=namespace)
                del self._written[namespace, name]
                self._secrets.pop((namespace, name), None)
        except (ApiError, ApiUnreachableError) as error:
            raise SidecarObjectsError(str(error)) from error

    async def _apply_secret(self, policy: AuditPolicy, files: ApplicationFiles) -> None:
        namespace, name = policy.metadata.namespace, shipper_name(policy.metadata.name)
        content: dict[str, Any] = {
            "files": {path: base64.b64encode(text).decode() for path, text in sorted(files.credentials.items())},
            "environment": {PSEUDONYM_VARIABLE: await self._pseudonym_key(policy)} if files.pseudonyms else {},
        }
        text = json.dumps(content, sort_keys=True)
        if self._secrets.get((namespace, name)) == text:
            return
        encoded = base64.b64encode(text.encode()).decode()
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(policy), "data": {SECRET_KEY: encoded}}
        await self.client.apply(SECRET, body, field_manager=self.field_manager)
        self._secrets[namespace, name] = text

    async def _pseudonym_key(self, policy: AuditPolicy) -> str:
        """Made once: with another one, the same person would be somebody else. Each policy has its own."""
        uid = policy.metadata.uid
        if uid not in self._keys:
            name = shipper_name(policy.metadata.name)
            try:
                document = await self.client.get(SECRET, name=name, namespace=policy.metadata.namespace)
            except ApiError as error:
                if not error.not_found:
                    raise
                document = {}
            self._keys[uid] = _key_in(document) or secrets.token_hex(32)
        return self._keys[uid]


def _key_in(document: Document) -> str:
    try:
        content = json.loads(base64.b64decode(document["data"][SECRET_KEY]))
        return str(content["environment"][PSEUDONYM_VARIABLE])
    except (KeyError, TypeError, ValueError):
        return ""


def _read(document: Document) -> tuple[tuple[str, str], _Written]:
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    owner = next((each["uid"] for each in metadata.get("ownerReferences") or () if each.get("controller")), "")
    written = _Written(
        owner,
        dict(document.get("data") or {}),
        annotations.get(DIGEST, ""),
        annotations.get(HAS_SECRET) == "true",
    )
    return (metadata["namespace"], metadata["name"]), written


def _config_map(policy: AuditPolicy, wanted: _Written) -> Document:
    annotations = {DIGEST: wanted.digest, HAS_SECRET: "true" if wanted.has_secret else "false"}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {**_metadata(policy), "annotations": annotations},
        "data": wanted.data,
    }


def _metadata(policy: AuditPolicy) -> Document:
    owner = {
        "apiVersion": AUDIT_POLICY.api_version,
        "kind": AUDIT_POLICY.kind,
        "name": policy.metadata.name,
        "uid": policy.metadata.uid,
        "controller": True,
    }
    return {
        "name": shipper_name(policy.metadata.name),
        "namespace": policy.metadata.namespace,
        "labels": {"app.kubernetes.io/managed-by": "audit-operator", COMPONENT_LABEL: COMPONENT},
        "ownerReferences": [owner],
    }
