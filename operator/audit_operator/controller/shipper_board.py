"""Secrets and Leases as operator and shippers speak through them; docs/design/shipping.md has the names."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.cluster.lease import micro_time
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, LEASE, NODE, SECRET
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.controlplane.shipper.board import BoardUnavailable, Posted, Told
from audit_operator.controlplane.shipper.instructions import (
    INSTRUCTIONS_KEY,
    PSEUDONYM_KEY,
    SHIPPER_COMPONENT,
    instructions_name,
    shipper_name,
)
from audit_operator.controlplane.shipper.report import REPORT_ANNOTATION, ShipperReport
from audit_operator.controlplane.static_pod.instructions import COMPONENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, RestClient

_REPORT_SECONDS = 40


@dataclass(frozen=True, slots=True)
class ClusterShipperBoard:
    """Implements `controlplane.shipper.board.ShipperBoard`, which describes the methods."""

    client: RestClient
    namespace: str
    field_manager: str

    async def revision(self, plane: str) -> str:  # noqa: D102
        name = instructions_name(plane)
        found = await _found(self.client.metadata(SECRET, name=name, namespace=self.namespace))
        return "" if found is None else _revision(found)

    async def told(self, plane: str) -> Told | None:  # noqa: D102
        found = await _found(self.client.get(SECRET, name=instructions_name(plane), namespace=self.namespace))
        if found is None:
            return None
        data = found.get("data") or {}
        key = _decoded(data.get(PSEUDONYM_KEY, "")).decode("ascii", "replace")
        return Told(_revision(found), _decoded(data.get(INSTRUCTIONS_KEY, "")), key)

    async def tell(self, plane: str, uid: str, instructions: bytes, pseudonym_key: str) -> str:  # noqa: D102
        metadata = {"name": instructions_name(plane), "namespace": self.namespace}
        body: dict[str, Any] = {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata}
        body["metadata"]["labels"] = {COMPONENT_LABEL: SHIPPER_COMPONENT}
        if uid:
            # So that it goes with the AuditControlPlane. To block that object's deletion would be another right.
            owner = {"apiVersion": AUDIT_CONTROL_PLANE.api_version, "kind": AUDIT_CONTROL_PLANE.kind}
            body["metadata"]["ownerReferences"] = [{**owner, "name": plane, "uid": uid}]
        content = {INSTRUCTIONS_KEY: instructions, PSEUDONYM_KEY: pseudonym_key.encode()}
        body["data"] = {key: base64.b64encode(each).decode() for key, each in content.items()}
        return _revision(await _asked(self.client.apply(SECRET, body, field_manager=self.field_manager)))

    async def reports(self) -> Mapping[str, Posted]:  # noqa: D102
        found = {}
        for document in await self._list(_labelled(LEASE), self.namespace):
            metadata, spec = document["metadata"], document.get("spec") or {}
            node = str(spec.get("holderIdentity", ""))
            said = (metadata.get("annotations") or {}).get(REPORT_ANNOTATION, "")
            try:
                report = ShipperReport.model_validate_json(said)
            except ValidationError:
                continue  # written by a shipper of another release: as good as none
            if metadata["name"] == shipper_name(node):
                renewed = _time(spec.get("renewTime"))
                age = (datetime.now(UTC) - renewed).total_seconds() if renewed else 0.0
                found[node] = Posted(report, _revision(document), renewed, max(0.0, age))
        return found

    async def report(self, node: str, report: ShipperReport) -> None:  # noqa: D102
        metadata = {"name": shipper_name(node), "namespace": self.namespace}
        body: dict[str, Any] = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        body["metadata"]["labels"] = {COMPONENT_LABEL: SHIPPER_COMPONENT}
        body["metadata"]["annotations"] = {REPORT_ANNOTATION: report.encoded()}
        body["spec"] = {"holderIdentity": node, "leaseDurationSeconds": _REPORT_SECONDS, "renewTime": micro_time()}
        await _asked(self.client.apply(LEASE, body, field_manager=self.field_manager))

    async def nodes(self, selector: str) -> tuple[str, ...]:  # noqa: D102
        found = await self._list(replace(NODE, label_selector=selector), "")
        return tuple(sorted(str(each["metadata"]["name"]) for each in found))

    async def _list(self, resource: Resource, namespace: str) -> list[Document]:
        listing = await _asked(self.client.list(resource, lambda document: document, namespace=namespace))
        return list(listing.items)


async def _asked(request: Awaitable[Any]) -> Any:
    """The answer to a request, in the words of the board."""
    try:
        return await request
    except (ApiError, ApiUnreachableError, InconsistentListError) as error:
        raise BoardUnavailable(str(error)) from error


async def _found(request: Awaitable[Document]) -> Document | None:
    """The object that was asked for; None if there is none."""
    try:
        return await request
    except ApiError as error:
        if error.not_found:
            return None
        raise BoardUnavailable(str(error)) from error
    except ApiUnreachableError as error:
        raise BoardUnavailable(str(error)) from error


def _labelled(resource: Resource) -> Resource:
    return replace(resource, label_selector=f"{COMPONENT_LABEL}={SHIPPER_COMPONENT}")


def _revision(document: Document) -> str:
    return str(document["metadata"].get("resourceVersion", ""))


def _decoded(value: str) -> bytes:
    """Empty where it is none: what somebody else has written there is as good as nothing."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _time(renewed: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(renewed or "").astimezone(UTC)
    except ValueError:
        return None
