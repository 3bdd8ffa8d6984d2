"""What is kept of each object, and the snapshot that a plan is made from.

An object that the models refuse keeps the last version that they accepted in force: a broken edit must not make the API
server record less. What was never valid contributes nothing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.control_plane import AuditControlPlane
from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import parse_object
from audit_operator.api.permissions import Permissions
from audit_operator.api.sink import AuditSink, ClusterAuditSink
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, INPUT, NAMESPACE, OWN_KINDS
from audit_operator.controller.retention_memory import Memory
from audit_operator.plan import NamespaceFact, Snapshot
from audit_operator.plan.defect import defect
from audit_operator.plan.retention import store_of
from audit_operator.plan.sinks import has_folders
from audit_operator.plan.snapshot import CountingLimits, InputConfigMap, InvalidObject
from audit_operator.retention.folders import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.findings import Finding
    from audit_operator.api.kinds import AnyKind
    from audit_operator.api.observations import ApiServerObservation
    from audit_operator.cluster.facts import Fact, FactStore
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnObject:
    """An object of one of our kinds: the model in force, if any, and what is wrong with the present version.

    `permissions` is what the status of a control plane said of them when this version was first seen; `layout` what
    that of a sink says now of the folders in its store.
    """

    uid: str
    generation: int
    model: AnyKind | None
    findings: tuple[Finding, ...] = ()
    permissions: Permissions | None = None
    layout: Layout | None = None


def decode(resource: Resource, document: Document, known: object | None) -> object:
    """Reduce a document to what a plan needs; the very object that was known, if nothing of that has changed."""
    metadata = document["metadata"]
    fresh: object
    if resource.kind == NAMESPACE.kind:
        fresh = NamespaceFact(metadata["name"], dict(metadata.get("labels") or {}))
    elif resource.kind == INPUT.kind:
        fresh = InputConfigMap(metadata["namespace"], metadata["name"], dict(document.get("data") or {}))
    else:
        own = _own_object(resource, document, known if isinstance(known, OwnObject) else None)
        layout = _layout_in(document, own.model)
        return own if layout == own.layout else replace(own, layout=layout)
    return known if known == fresh else fresh


def _own_object(resource: Resource, document: Document, known: OwnObject | None) -> OwnObject:
    metadata = document["metadata"]
    uid, generation = metadata.get("uid", ""), int(metadata.get("generation", 0))
    if known is not None and (known.uid, known.generation) == (uid, generation):
        return known
    kept = {
        key: metadata[key] for key in ("name", "namespace", "uid", "generation", "creationTimestamp") if key in metadata
    }
    parsed = _parsed(
        {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": kept,
            "spec": document.get("spec"),
        }
    )
    said = _permissions_in(document) if resource.kind == AUDIT_CONTROL_PLANE.kind else None
    if isinstance(parsed, tuple):
        same = known is not None and known.uid == uid
        return OwnObject(uid, generation, known.model if known and same else None, parsed, said)
    return OwnObject(uid, generation, parsed, permissions=said)


def _layout_in(document: Document, model: AnyKind | None) -> Layout | None:
    """Where shippers are to write: what they are told must stand where the operator remembers it."""
    if not isinstance(model, ClusterAuditSink) or not has_folders(model):
        return None
    return Layout.of(Memory.read(document, store_of(model)).folders)


def _parsed(document: Document) -> AnyKind | tuple[Finding, ...]:
    """The object, or what is wrong with it. Raises nothing: no list of a kind could be completed with this object."""
    try:
        return parse_object(document)
    except Exception as error:  # noqa: BLE001 - see the docstring
        metadata = document["metadata"]
        ref = ObjectRef(document["kind"], metadata["name"], metadata.get("namespace", ""))
        _LOG.error(
            "An object cannot be read", exc_info=error, extra={"object": str(ref), "reason": type(error).__name__}
        )
        return (defect(ref, "it cannot read this object; the last version that it could read stays in force"),)


def _permissions_in(document: Document) -> Permissions | None:
    """What a status says of permissions, if it does, and this version can read it."""
    status = document.get("status")
    if not isinstance(status, dict) or "permissions" not in status:
        return None
    try:
        return Permissions.model_validate_json(json.dumps(status["permissions"]))
    except ValidationError:
        return None


def said_of_permissions(facts: Iterable[Fact]) -> dict[str, Permissions]:
    """What the statuses of control planes, by name, said of permissions when these objects were first seen.

    It stands until they are judged anew: a leader that has just begun takes nothing back that it has not looked at.
    """
    return {
        fact.ref.name: fact.content.permissions
        for fact in facts
        if isinstance(fact.content, OwnObject) and fact.content.permissions is not None
    }


def snapshot_of(
    store: FactStore,
    observations: Mapping[str, tuple[ApiServerObservation, ...]],
    server_version: str,
    *,
    local_sinks: bool = False,
    counting: CountingLimits = CountingLimits(),  # noqa: B008  # frozen
) -> Snapshot:
    """Everything that is known now, in a fixed order."""
    models: dict[type, list[Any]] = {}
    layouts: dict[ObjectRef, Layout] = {}
    invalid: list[InvalidObject] = []
    for resource in OWN_KINDS:
        for fact in sorted(store.facts(resource), key=lambda each: each.ref):
            content = fact.content
            if not isinstance(content, OwnObject):
                raise TypeError(content)
            if content.findings:
                invalid.append(InvalidObject(fact.ref, fact.generation, content.findings))
            if content.layout is not None:
                layouts[fact.ref] = content.layout
            if content.model is not None:
                models.setdefault(type(content.model), []).append(content.model)
    return Snapshot(
        audit_policies=tuple(models.get(AuditPolicy, ())),
        cluster_audit_policies=tuple(models.get(ClusterAuditPolicy, ())),
        audit_sinks=tuple(models.get(AuditSink, ())),
        cluster_audit_sinks=tuple(models.get(ClusterAuditSink, ())),
        control_planes=tuple(models.get(AuditControlPlane, ())),
        namespaces=tuple(each.content for each in store.facts(NAMESPACE) if isinstance(each.content, NamespaceFact)),
        inputs=tuple(each.content for each in store.facts(INPUT) if isinstance(each.content, InputConfigMap)),
        invalid=tuple(invalid),
        observations=observations,
        server_version=server_version,
        layouts=layouts,
        local_sinks=local_sinks,
        counting=counting,
    )
