"""Secrets and Leases as operator and shippers speak through them; docs/design/shipping.md has the names."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from audit_operator.cluster.resources import LEASE, NODE, SECRET
from audit_operator.controller.posting import asked, found, held, labelled, listed, named, owners
from audit_operator.controlplane.shipper.board import HeldKeyring, Posted, Told
from audit_operator.controlplane.shipper.instructions import (
    INSTRUCTIONS_KEY,
    KEYRING_KEY,
    PSEUDONYM_KEYS,
    SHIPPER_COMPONENT,
    instructions_name,
    keyring_name,
    shipper_name,
)
from audit_operator.controlplane.shipper.report import REPORT_ANNOTATION, ShipperReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.cluster.rest import Document, RestClient


@dataclass(frozen=True, slots=True)
class ClusterShipperBoard:
    """Implements `controlplane.shipper.board.ShipperBoard`, which describes the methods."""

    client: RestClient
    namespace: str
    field_manager: str

    async def revision(self, plane: str) -> str:  # noqa: D102
        name = instructions_name(plane)
        document = await found(self.client.metadata(SECRET, name=name, namespace=self.namespace))
        return "" if document is None else _revision(document)

    async def told(self, plane: str) -> Told | None:  # noqa: D102
        document = await found(self.client.get(SECRET, name=instructions_name(plane), namespace=self.namespace))
        if document is None:
            return None
        data = document.get("data") or {}
        keys = _decoded(data.get(PSEUDONYM_KEYS, "")).decode("ascii", "replace")
        return Told(_revision(document), _decoded(data.get(INSTRUCTIONS_KEY, "")), keys)

    async def tell(self, plane: str, uid: str, instructions: bytes, pseudonym_keys: str) -> str:  # noqa: D102
        body = named(SECRET, instructions_name(plane), self.namespace, SHIPPER_COMPONENT)
        if uid:
            body["metadata"]["ownerReferences"] = owners(plane, uid)
        content = {INSTRUCTIONS_KEY: instructions, PSEUDONYM_KEYS: pseudonym_keys.encode()}
        body["data"] = {key: base64.b64encode(each).decode() for key, each in content.items()}
        return _revision(await asked(self.client.apply(SECRET, body, field_manager=self.field_manager)))

    async def keyring_revision(self, plane: str) -> str:  # noqa: D102
        name = keyring_name(plane)
        document = await found(self.client.metadata(SECRET, name=name, namespace=self.namespace))
        return "" if document is None else _revision(document)

    async def keyring(self, plane: str) -> HeldKeyring | None:  # noqa: D102
        document = await found(self.client.get(SECRET, name=keyring_name(plane), namespace=self.namespace))
        if document is None:
            return None
        return HeldKeyring(_revision(document), _decoded((document.get("data") or {}).get(KEYRING_KEY, "")))

    async def keep_keyring(self, plane: str, content: bytes, revision: str) -> None:  # noqa: D102
        # Without an owner: records outlive their control plane, and so must what finds a subject in them.
        body = named(SECRET, keyring_name(plane), self.namespace, SHIPPER_COMPONENT)
        body["data"] = {KEYRING_KEY: base64.b64encode(content).decode()}
        if not revision:
            await asked(self.client.create(SECRET, body))
            return
        body["metadata"]["resourceVersion"] = revision
        await asked(self.client.apply(SECRET, body, field_manager=self.field_manager))

    async def reports(self) -> Mapping[str, Posted]:  # noqa: D102
        posted = {}
        for document in await listed(self.client, labelled(LEASE, SHIPPER_COMPONENT), self.namespace):
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
                posted[node] = Posted(report, _revision(document), renewed, max(0.0, age))
        return posted

    async def report(self, node: str, report: ShipperReport) -> None:  # noqa: D102
        body = named(LEASE, shipper_name(node), self.namespace, SHIPPER_COMPONENT)
        body["metadata"]["annotations"] = {REPORT_ANNOTATION: report.encoded()}
        body["spec"] = held(node)
        await asked(self.client.apply(LEASE, body, field_manager=self.field_manager))

    async def nodes(self, selector: str) -> tuple[str, ...]:  # noqa: D102
        nodes = await listed(self.client, replace(NODE, label_selector=selector), "")
        return tuple(sorted(str(each["metadata"]["name"]) for each in nodes))


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
