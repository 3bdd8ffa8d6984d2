"""ConfigMaps and Leases as operator and node agents speak through them; docs/design/static-pod.md has the names."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit_operator.api.observations import policy_digest
from audit_operator.cluster.lease import micro_time
from audit_operator.cluster.resources import CONFIG_MAP, LEASE, NODE, Resource
from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.controller.posting import asked, found, held, labelled, listed, named, owners
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.configmap import DIGEST_ANNOTATION, POLICY_KEY
from audit_operator.controlplane.static_pod.board import TURN_SECONDS, Posted, Turn, TurnLost
from audit_operator.controlplane.static_pod.instructions import (
    AGENT_COMPONENT,
    INSTRUCTIONS_KEY,
    POLICY_COMPONENT,
    ROLLOUT_COMPONENT,
    Instructions,
    agent_name,
    policy_name,
    rollout_name,
)
from audit_operator.controlplane.static_pod.report import REPORT_ANNOTATION, NodeReport

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from audit_operator.cluster.rest import Document, RestClient

_LOG = logging.getLogger(__name__)
_KEPT = 5
"""Policies that stay although nobody needs them now: ways back."""


@dataclass(frozen=True, slots=True)
class ClusterBoard:
    """Implements `controlplane.static_pod.board.Board`, which describes the methods."""

    client: RestClient
    namespace: str
    field_manager: str

    async def instructions(self) -> tuple[Instructions, ...]:  # noqa: D102
        found = []
        for document in await self._list(labelled(CONFIG_MAP, ROLLOUT_COMPONENT)):
            try:
                found.append(Instructions.model_validate_json((document.get("data") or {}).get(INSTRUCTIONS_KEY, "")))
            except ValidationError as error:
                name = document["metadata"]["name"]
                _LOG.warning("ConfigMap %s is passed over: %s", name, error, extra={"reason": "UnknownInstructions"})
        return tuple(found)

    async def instruct(self, instructions: Instructions) -> None:  # noqa: D102
        body = named(CONFIG_MAP, rollout_name(instructions.plane), self.namespace, ROLLOUT_COMPONENT)
        body["data"] = {INSTRUCTIONS_KEY: instructions.model_dump_json()}
        if instructions.uid:
            body["metadata"]["ownerReferences"] = owners(instructions.plane, instructions.uid)
        await asked(self.client.apply(CONFIG_MAP, body, field_manager=self.field_manager))

    async def policy(self, digest: str) -> str:  # noqa: D102
        document = await self._find(CONFIG_MAP, policy_name(digest)) or {}
        text = str((document.get("data") or {}).get(POLICY_KEY, ""))
        return text if policy_digest(text) == digest else ""

    async def publish_policy(self, digest: str, text: str) -> None:  # noqa: D102
        body = named(CONFIG_MAP, policy_name(digest), self.namespace, POLICY_COMPONENT)
        body["metadata"]["annotations"] = {DIGEST_ANNOTATION: digest}
        body |= {"data": {POLICY_KEY: text}, "immutable": True}
        await asked(self.client.apply(CONFIG_MAP, body, field_manager=self.field_manager))

    async def forget_policies_except(self, digests: Collection[str]) -> None:  # noqa: D102
        kept = {policy_name(each) for each in digests}
        found = await self._list(labelled(CONFIG_MAP, POLICY_COMPONENT))
        found.sort(key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True)
        for document in found[_KEPT:]:
            name = document["metadata"]["name"]
            if name not in kept:
                await asked(self.client.delete(CONFIG_MAP, name=name, namespace=self.namespace))

    async def reports(self) -> Mapping[str, Posted]:  # noqa: D102
        found = {}
        for document in await self._list(labelled(LEASE, AGENT_COMPONENT)):
            metadata, spec = document["metadata"], document.get("spec") or {}
            node = str(spec.get("holderIdentity", ""))
            try:
                report = NodeReport.model_validate_json((metadata.get("annotations") or {}).get(REPORT_ANNOTATION, ""))
            except ValidationError:
                continue  # written by an agent of another release: as good as none
            if metadata["name"] == agent_name(node):
                found[node] = Posted(report, str(metadata.get("resourceVersion", "")), _age(spec.get("renewTime")))
        return found

    async def report(self, node: str, report: NodeReport) -> None:  # noqa: D102
        body = named(LEASE, agent_name(node), self.namespace, AGENT_COMPONENT)
        body["metadata"]["annotations"] = {REPORT_ANNOTATION: report.model_dump_json()}
        body["spec"] = held(node)
        await asked(self.client.apply(LEASE, body, field_manager=self.field_manager))

    async def turn(self, plane: str) -> Turn:  # noqa: D102
        document = await self._find(LEASE, rollout_name(plane))
        return Turn() if document is None else _turn(document)

    async def write_turn(self, plane: str, turn: Turn, holder: str) -> Turn:  # noqa: D102
        now = micro_time()
        spec = {"holderIdentity": holder, "leaseDurationSeconds": TURN_SECONDS, "acquireTime": now, "renewTime": now}
        body = {**named(LEASE, rollout_name(plane), self.namespace), **turn.document, "spec": spec}
        try:
            if turn.document:
                return _turn(await self.client.replace(LEASE, body))
            return _turn(await self.client.create(LEASE, body))
        except ApiError as error:
            if error.conflict:
                raise TurnLost from error
            raise BoardUnavailable(str(error)) from error
        except ApiUnreachableError as error:
            raise BoardUnavailable(str(error)) from error

    async def nodes(self, labels: Mapping[str, str]) -> Mapping[str, str]:  # noqa: D102
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        found = await self._list(replace(NODE, label_selector=selector), namespace="")
        return dict(sorted((str(each["metadata"]["name"]), _kubelet_version(each)) for each in found))

    async def _find(self, resource: Resource, name: str) -> Document | None:
        """An object of the operator's namespace; None if there is none."""
        return await found(self.client.get(resource, name=name, namespace=self.namespace))

    async def _list(self, resource: Resource, namespace: str | None = None) -> list[Document]:
        return await listed(self.client, resource, self.namespace if namespace is None else namespace)


def _kubelet_version(node: Document) -> str:
    info = (node.get("status") or {}).get("nodeInfo") or {}
    return str(info.get("kubeletVersion", ""))


def _turn(document: Mapping[str, Any]) -> Turn:
    holder = str((document.get("spec") or {}).get("holderIdentity") or "")
    return Turn(holder, str(document["metadata"]["resourceVersion"]), document)


def _age(renewed: str | None) -> float:
    """Seconds since a Lease was renewed, as far as its time can be read."""
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(renewed or "")).total_seconds())
    except (ValueError, TypeError):
        return 0.0
