"""What sidecars read: a ConfigMap for each policy, and a Secret where a sink of the namespace needs one.

Both go with the policy, which owns them, and with its applicationLogs. Their names are no secret, and namespaces belong
to others: an object of such a name that no AuditPolicy of ours controls is never written, adopted or deleted.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.resources import AUDIT_POLICY, CONFIG_MAP, SECRET
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.plan.application_logs import CONFIG_FILE, PSEUDONYM_VARIABLE
from audit_operator.plan.credentials import sink_name
from audit_operator.shipping.injection.names import PREFIX, shipper_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, RestClient
    from audit_operator.plan.application_logs import ApplicationFiles

COMPONENT_LABEL, COMPONENT = "app.kubernetes.io/component", "audit-shipper-sidecar"
DIGEST = "audit-operator.dev/digest"
SINKS = "audit-operator.dev/sinks"
HAS_SECRET = "audit-operator.dev/has-secret"  # noqa: S105 - an annotation
SECRET_KEY = "sidecar.json"  # noqa: S105 - a key
FIGURES_FILE = "figures.json"
_OURS = replace(CONFIG_MAP, label_selector=f"{COMPONENT_LABEL}={COMPONENT}")


class SidecarObjectsError(Exception):
    """They could not be read or written; the message says why."""


class NameTakenError(SidecarObjectsError):
    """There is an object of that name, and it is somebody else's; the message names it."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a ConfigMap of ours says, to which sinks its configuration writes, and whether a Secret belongs to it."""

    owner: str
    data: dict[str, str]
    digest: str
    sinks: frozenset[str]
    has_secret: bool


@dataclass(slots=True)
class SidecarObjects:
    """Writes on change alone. What somebody else has changed or deleted is found by `look`.

    Nothing is touched in `own_namespace`, the operator's: what instructs shippers bears such names there, too. `asks`
    says whether sidecars will be asked what they have counted: a sidecar listens for nobody else.
    """

    client: RestClient
    field_manager: str
    own_namespace: str = ""
    asks: bool = False
    _written: dict[tuple[str, str], _Written] = field(default_factory=dict)
    _secrets: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)

    async def look(self) -> None:
        """See what is there, from whomever. Raises SidecarObjectsError."""
        try:
            listing = await self.client.list(_OURS, _read)
        except (ApiError, ApiUnreachableError, InconsistentListError) as error:
            raise SidecarObjectsError(str(error)) from error
        self._written = {name: written for name, written in filter(None, listing.items) if self._may_touch(name)}
        self._secrets.clear()

    async def bring(self, policy: AuditPolicy, files: ApplicationFiles) -> None:
        """Make what the policy's sidecars read like this. Raises SidecarObjectsError."""
        namespace, name = place = _place(policy.ref)
        needs_secret = bool(files.credentials or files.pseudonyms)
        sinks = frozenset(map(sink_name, files.sinks))
        data = {CONFIG_FILE: files.config}
        if self.asks and files.config:
            data[FIGURES_FILE] = json.dumps({"policy": f"{namespace}/{policy.metadata.name}"})
        wanted = _Written(policy.metadata.uid, data, files.digest, sinks, needs_secret)
        known = self._written.get(place)
        try:
            if known != wanted:
                await self._check(CONFIG_MAP, namespace, name)
            if needs_secret:
                # Before the configuration that names what is in it.
                await self._apply_secret(policy, files)
            if known != wanted:
                await self.client.apply(CONFIG_MAP, _config_map(policy, wanted), field_manager=self.field_manager)
                self._written[place] = wanted
            if not needs_secret and known is not None and known.has_secret:
                await self._delete(SECRET, namespace, name)
                self._secrets.pop(place, None)
        except (ApiError, ApiUnreachableError, InconsistentListError) as error:
            raise SidecarObjectsError(str(error)) from error

    async def keep_only(self, policies: Collection[ObjectRef]) -> dict[ObjectRef, SidecarObjectsError]:
        """Delete what no policy wants any more; what could not be deleted, by policy, stops nothing else."""
        wanted = set(map(_place, policies))
        failed = {}
        for namespace, name in sorted(self._written.keys() - wanted):
            try:
                if self._written[namespace, name].has_secret:
                    await self._delete(SECRET, namespace, name)
                await self._delete(CONFIG_MAP, namespace, name)
            except (ApiError, ApiUnreachableError, InconsistentListError) as error:
                ref = ObjectRef(AUDIT_POLICY.kind, name.removeprefix(PREFIX), namespace)
                failed[ref] = SidecarObjectsError(str(error))
            else:
                del self._written[namespace, name]
                self._secrets.pop((namespace, name), None)
        return failed

    def knows(self, policy: ObjectRef) -> bool:
        """Whether there is something that the policy's sidecars read."""
        return _place(policy) in self._written

    def holds(self, policy: ObjectRef, files: ApplicationFiles) -> bool:
        """Whether that has this configuration."""
        known = self._written.get(_place(policy))
        return known is not None and known.data.get(CONFIG_FILE) == files.config

    def writes_only_to(self, policy: ObjectRef, sinks: Collection[ObjectRef]) -> bool:
        """Whether there is, and its configuration writes to none but these sinks."""
        known = self._written.get(_place(policy))
        return known is not None and known.sinks <= set(map(sink_name, sinks))

    def _may_touch(self, place: tuple[str, str]) -> bool:
        namespace, name = place
        return namespace != self.own_namespace and name.startswith(PREFIX)

    async def _there(self, resource: Resource, namespace: str, name: str) -> Document | None:
        """Metadata of an object; None where there is none."""
        if resource is CONFIG_MAP:
            # The operator may list them, for its inputs, and has no use for another right.
            one = replace(CONFIG_MAP, field_selector=f"metadata.name={name}")
            listing = await self.client.list(one, lambda document: document["metadata"], namespace=namespace)
            return next(iter(listing.items), None)
        try:
            document = await self.client.metadata(resource, name=name, namespace=namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            return None
        metadata: Document = document["metadata"]
        return metadata

    async def _check(self, resource: Resource, namespace: str, name: str) -> None:
        """Raises NameTakenError where what is there is not ours."""
        there = await self._there(resource, namespace, name)
        if there is not None and not _is_ours(there):
            raise NameTakenError(f"{resource.kind} {namespace}/{name} is there already, and belongs to no AuditPolicy")

    async def _delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete what is ours; whatever else bears the name stays."""
        there = await self._there(resource, namespace, name)
        if there is not None and _is_ours(there):
            await self.client.delete(resource, name=name, namespace=namespace, uid=there["uid"])

    async def _apply_secret(self, policy: AuditPolicy, files: ApplicationFiles) -> None:
        namespace, name = policy.metadata.namespace, shipper_name(policy.metadata.name)
        content: dict[str, Any] = {
            "files": {path: base64.b64encode(text).decode() for path, text in sorted(files.credentials.items())},
            "environment": {PSEUDONYM_VARIABLE: await self._pseudonym_key(policy)} if files.pseudonyms else {},
        }
        text = json.dumps(content, sort_keys=True)
        if self._secrets.get((namespace, name)) == text:
            return
        await self._check(SECRET, namespace, name)
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


def _place(policy: ObjectRef) -> tuple[str, str]:
    return policy.namespace, shipper_name(policy.name)


def _key_in(document: Document) -> str:
    try:
        return pseudonym_key_in(base64.b64decode(document["data"][SECRET_KEY]))
    except (KeyError, TypeError, ValueError):
        return ""


def pseudonym_key_in(content: bytes) -> str:
    """The key of pseudonyms in what a sidecar's Secret holds under SECRET_KEY; empty if there is none."""
    try:
        return str(json.loads(content)["environment"][PSEUDONYM_VARIABLE])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def _read(document: Document) -> tuple[tuple[str, str], _Written] | None:
    """What a ConfigMap of ours says; None for somebody else's that bears our label."""
    metadata = document["metadata"]
    if not _is_ours(metadata):
        return None
    annotations = metadata.get("annotations") or {}
    written = _Written(
        str(_controller(metadata).get("uid", "")),
        dict(document.get("data") or {}),
        annotations.get(DIGEST, ""),
        frozenset(filter(None, annotations.get(SINKS, "").split(","))),
        annotations.get(HAS_SECRET) == "true",
    )
    return (metadata["namespace"], metadata["name"]), written


def _is_ours(metadata: Document) -> bool:
    """Whether the AuditPolicy whose name an object bears controls it, or one that had that name."""
    owner = _controller(metadata)
    return (
        owner.get("kind") == AUDIT_POLICY.kind
        and str(owner.get("apiVersion")).startswith(f"{AUDIT_POLICY.group}/")
        and metadata["name"] == shipper_name(str(owner.get("name")))
    )


def _controller(metadata: Document) -> Document:
    return next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), {})


def _config_map(policy: AuditPolicy, wanted: _Written) -> Document:
    annotations = {
        DIGEST: wanted.digest,
        SINKS: ",".join(sorted(wanted.sinks)),
        HAS_SECRET: "true" if wanted.has_secret else "false",
    }
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
