"""How boards ask the API server: its answers in their words, and the objects that they are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.lease import micro_time
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.static_pod.instructions import COMPONENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, RestClient

_REPORT_SECONDS = 40


async def asked(request: Awaitable[Any]) -> Any:
    """The answer to a request, in the words of a board.

    Raises:
        BoardUnavailable: there is none.
    """
    try:
        return await request
    except (ApiError, ApiUnreachableError, InconsistentListError) as error:
        raise BoardUnavailable(str(error)) from error


async def found(request: Awaitable[Document]) -> Document | None:
    """The object that was asked for; None if there is none.

    Raises:
        BoardUnavailable: nobody says.
    """
    try:
        return await request
    except ApiError as error:
        if error.not_found:
            return None
        raise BoardUnavailable(str(error)) from error
    except ApiUnreachableError as error:
        raise BoardUnavailable(str(error)) from error


async def listed(client: RestClient, resource: Resource, namespace: str) -> list[Document]:
    """All objects of a kind in a namespace; everywhere, or of a kind without, with none.

    Raises:
        BoardUnavailable: they cannot be had.
    """
    listing = await asked(client.list(resource, lambda document: document, namespace=namespace))
    return list(listing.items)


def named(resource: Resource, name: str, namespace: str, component: str = "") -> dict[str, Any]:
    """The beginning of an object that is applied; `component` is whose it is."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if component:
        metadata["labels"] = {COMPONENT_LABEL: component}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def labelled(resource: Resource, component: str) -> Resource:
    """The objects of a kind that are a component's."""
    return replace(resource, label_selector=f"{COMPONENT_LABEL}={component}")


def owners(plane: str, uid: str) -> list[dict[str, Any]]:
    """So that an object goes with its AuditControlPlane. To block that object's deletion would be another right."""
    owner = {"apiVersion": AUDIT_CONTROL_PLANE.api_version, "kind": AUDIT_CONTROL_PLANE.kind}
    return [{**owner, "name": plane, "uid": uid}]


def held(node: str) -> dict[str, Any]:
    """What stands in the Lease of a node that reports now."""
    return {"holderIdentity": node, "leaseDurationSeconds": _REPORT_SECONDS, "renewTime": micro_time()}
