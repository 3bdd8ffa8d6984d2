"""Reads all roles and bindings, by lists in pages.

They change rarely, and there may be tens of thousands: nobody watches them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from audit_operator.cluster.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from audit_operator.permissions.rbac import Rbac, rbac_of

if TYPE_CHECKING:
    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import Document, RestClient

# Not `aggregationRule`: its controller has written into `rules` what it picks, and its bounds are wider than ours.
_KEPT = ("rules", "roleRef", "subjects")


async def read_rbac(client: RestClient) -> Rbac:
    """Every role and binding of the cluster; no role has `aggregates`.

    Raises:
        ApiError, ApiUnreachableError, InconsistentListError: they cannot be read, or not as a whole.
        RbacError: the API server has one that it should have refused.
    """
    documents: list[dict[str, Any]] = []
    # Bindings first: of one that is made meanwhile with its role, nothing is seen, and not a binding without a role.
    for resource in (CLUSTER_ROLE_BINDING, ROLE_BINDING, CLUSTER_ROLE, ROLE):
        listing = await client.list(resource, lambda each, of=resource: _reduced(of, each))  # type: ignore[misc]  # mypy infers no type for `of`
        documents.extend(listing.items)
    # Of a large cluster it takes a second, in which nothing else should wait.
    return await asyncio.to_thread(rbac_of, documents)


def _reduced(resource: Resource, document: Document) -> dict[str, Any]:
    metadata = document["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    parts = {key: document[key] for key in _KEPT if key in document}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": kept, **parts}
